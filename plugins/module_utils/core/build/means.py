# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backend takes on this host: its part of the recipe, the paths CMake needs, and its rows of the preflight."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..command import run, tail
from ..errors import InvalidInput
from ..host import gpu, machine
from ..host.gpu import Seen
from . import blas, cuda, rocm, vulkan
from .backend import GPU, Choice
from .blas import Blas
from .cuda import Toolkit
from .preflight import Row, row
from .toolchain import Toolchain

RUNTIMES = ("bundle", "static", "system")
_NONE = Blas("none", "", {})


@dataclass(frozen=True)
class Wanted:
    """What a user says about the backend; see the options of the module."""

    architectures: Sequence[str] = ()
    cuda_home: str | None = None
    cuda_runtime: str = "bundle"
    rocm_home: str | None = None
    blas: str = "auto"
    cpu: str = "native"
    activate: bool = True
    cmake_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Means:
    """What a backend takes here.

    :param options: CMake options of the recipe, `recipe` its further keys; `complete` is False where a part that the
        recipe needs is not there yet.
    :param arguments: CMake options with paths of this host, and `environment` what CMake needs in its environment.
    :param bundle: the folders whose CUDA libraries go with the build. :param headers: the folder of CUDA's headers.
    """

    choice: Choice
    options: Mapping[str, str] = field(default_factory=dict)
    recipe: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True
    arguments: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    bundle: tuple[str, ...] = ()
    headers: str = ""
    blas: Blas = _NONE

    def versions(self) -> dict[str, str]:
        """What the further compilers say about their version, for the manifest; call it only where one compiles."""
        compilers = {"nvcc": "CMAKE_CUDA_COMPILER", "hip": "CMAKE_HIP_COMPILER"}
        programs = {tool: self.arguments[key] for tool, key in compilers.items() if self.arguments.get(key)}
        said = {tool: run([program, "--version"], check=False).stdout for tool, program in programs.items()}
        return {tool: tail(text, 2).replace("\n", ", ") for tool, text in said.items()}


def find(choice: Choice, wanted: Wanted, tools: Toolchain, seen: Seen) -> Means:
    """Look for what the backend needs.

    :raises InvalidInput: an architecture or a folder that cannot be one.
    :raises MissingTool: a BLAS library that is asked for is not installed.
    """
    if wanted.cuda_runtime not in RUNTIMES:
        raise InvalidInput(f"cuda_runtime cannot be {wanted.cuda_runtime!r}.", f"Use one of: {', '.join(RUNTIMES)}.")
    chosen = blas.choose(wanted.blas, choice.backend == "cpu" and wanted.cpu == "native")
    make = {"cpu": _cpu, "cuda": _cuda, "hip": _hip, "vulkan": _vulkan}[choice.backend]
    found = make(choice, wanted, tools, seen)
    return Means(
        choice=choice,
        options={**found.options, **chosen.options},
        recipe=found.recipe,
        complete=found.complete,
        arguments={**found.arguments, **chosen.arguments},
        environment=found.environment,
        rows=found.rows + (() if choice.backend == "cpu" else (_device(choice.backend, wanted, seen),)),
        bundle=found.bundle,
        headers=found.headers,
        blas=chosen,
    )


def _cpu(choice: Choice, wanted: Wanted, tools: Toolchain, seen: Seen) -> Means:
    if wanted.architectures:
        raise InvalidInput(
            "architectures are those of GPUs, and the backend is cpu.", "Leave them out, or set backend."
        )
    return Means(choice)


def _cuda(choice: Choice, wanted: Wanted, tools: Toolchain, seen: Seen) -> Means:
    capabilities = [device["compute_capability"] for device in _devices("cuda", seen)]
    architectures = cuda.check_architectures(wanted.architectures) or cuda.of_devices(capabilities)
    if not architectures:
        raise InvalidInput(
            "No NVIDIA GPU is here to say which architectures to compile for.",
            "Name them: architectures: [89, 90] for hosts with GPUs of compute capability 8.9 and 9.0.",
        )
    options = {"GGML_CUDA": "ON", "CMAKE_CUDA_ARCHITECTURES": ";".join(architectures)}
    toolkits = cuda.find(wanted.cuda_home, tools.path, os.environ)
    toolkit = cuda.choose(toolkits, seen.cuda)
    rows = _libc(), *_cuda_rows(toolkits, toolkit, architectures, capabilities, wanted, tools, seen)
    if toolkit is None:
        return Means(choice, options, complete=False, rows=rows)
    return Means(
        choice,
        options,
        recipe={"cuda": toolkit.name, "cuda_runtime": wanted.cuda_runtime},
        arguments={
            "CMAKE_CUDA_COMPILER": toolkit.nvcc,
            "CUDAToolkit_ROOT": toolkit.home,
            **(toolkit.static_arguments() if wanted.cuda_runtime == "static" else {}),
        },
        rows=rows,
        bundle=tuple(toolkit.libraries()) if wanted.cuda_runtime == "bundle" else (),
        headers=toolkit.include(),
    )


def _cuda_rows(
    toolkits: Sequence[Toolkit],
    toolkit: Toolkit | None,
    architectures: Sequence[str],
    capabilities: Sequence[str | None],
    wanted: Wanted,
    tools: Toolchain,
    seen: Seen,
) -> list[Row]:
    if not toolkits:
        return [row("CUDA toolkit", False, "none in /usr/local/cuda*, /opt/cuda, CUDA_HOME and PATH")]
    listed = ", ".join(map(str, toolkits))
    major = (seen.cuda or "").partition(".")[0]
    newer = f"Update the driver, or install a CUDA {major} toolkit beside the other (cuda_home chooses one)."
    rows = [row("CUDA driver", toolkit is not None, f"{listed}; the driver has CUDA {seen.cuda}", major, remedy=newer)]
    if toolkit is None:
        return rows
    lacking = toolkit.missing(wanted.cuda_runtime == "static")
    rows.append(row("CUDA parts", not lacking, str(toolkit), ", ".join(lacking) or "headers and libraries"))
    rows.append(_architectures(toolkit, architectures, capabilities if wanted.activate else ()))
    newest, compiler = toolkit.newest_gcc(), tools.compiler or ""
    if newest and compiler.startswith("gnu-") and "CMAKE_CUDA_HOST_COMPILER" not in wanted.cmake_options:
        remedy = f"Install GCC {newest} and set cmake_options: {{CMAKE_CUDA_HOST_COMPILER: /usr/bin/g++-{newest}}}."
        good = int(compiler.partition("-")[2] or 0) <= newest
        rows.append(row("CUDA compiler", good, compiler, newest, remedy=remedy))
    return rows


def _architectures(toolkit: Toolkit, architectures: Sequence[str], capabilities: Sequence[str | None]) -> Row:
    """Every architecture is known to the toolkit, and every GPU of a host that will use the build is served."""
    known = toolkit.compiles_for()
    strange = [text for text in architectures if not toolkit.knows(cuda.number(text))]
    left = [text for text in capabilities if text and not any(cuda.serves(one, text) for one in architectures)]
    found = f"{', '.join(architectures)}; {toolkit} compiles for {', '.join(map(str, known))}"
    remedy = f"Leave out {', '.join(strange)}, or use a toolkit that knows it (cuda_home)." if strange else ""
    if left:
        found += f"; this host has GPUs of {', '.join(left)}"
        remedy = f"{remedy} Add {', '.join(text.replace('.', '') for text in left)} to architectures.".strip()
    return row("CUDA architectures", not strange and not left, found, remedy=remedy)


def _hip(choice: Choice, wanted: Wanted, tools: Toolchain, seen: Seen) -> Means:
    targets = [str(device["compute_capability"]) for device in _devices("hip", seen) if device["compute_capability"]]
    architectures = rocm.check_architectures(wanted.architectures or targets)
    if not architectures:
        raise InvalidInput(
            "No AMD GPU is here to say which targets to compile for.",
            "Name them as rocminfo shows them: architectures: [gfx1100].",
        )
    installed = rocm.find(wanted.rocm_home, os.environ)
    joined = ";".join(architectures)
    options = {"GGML_HIP": "ON", "CMAKE_HIP_ARCHITECTURES": joined, "GPU_TARGETS": joined}
    good = installed is not None and (installed.version >= rocm.NEEDED or installed.version == (0, 0))
    rows = [row("ROCm", good, str(installed or "none in /opt/rocm and ROCM_PATH"))]
    if installed is None:
        return Means(choice, options, complete=False, rows=tuple(rows))
    lacking = installed.missing()
    rows.append(row("ROCm parts", not lacking, str(installed), ", ".join(lacking) or "headers and libraries"))
    return Means(
        choice,
        options,
        recipe={"rocm": installed.name},
        arguments={"CMAKE_HIP_COMPILER": installed.compiler() or ""},
        environment={"ROCM_PATH": installed.home, "HIP_PATH": installed.home},
        rows=tuple(rows),
    )


def _vulkan(choice: Choice, wanted: Wanted, tools: Toolchain, seen: Seen) -> Means:
    if wanted.architectures:
        raise InvalidInput("architectures do not go with backend: vulkan, whose programs run on every GPU.")
    lacking = vulkan.missing(tools.path)
    found = "nothing of it" if lacking else "all of it"
    return Means(
        choice, {"GGML_VULKAN": "ON"}, rows=(row("Vulkan", not lacking, found, ", ".join(lacking) or "Vulkan"),)
    )


def _device(backend: str, wanted: Wanted, seen: Seen) -> Row:
    """A build that becomes the active one must find a GPU; a builder for other hosts needs none."""
    there = bool(_devices(backend, seen)) or (backend == "vulkan" and any(card.own for card in seen.bus))
    remedy = (
        f"Repair the GPU ({seen.reason or 'none is listed'}), or set activate: false to build for other hosts only."
    )
    return row("device", there or not wanted.activate, "a GPU" if there else f"no {GPU[backend]} device", remedy=remedy)


def _devices(backend: str, seen: Seen) -> list[dict[str, Any]]:
    return [device for device in gpu.usable(seen.devices) if device["backend"] == backend]


def _libc() -> Row:
    found = machine.libc()
    text = f"{found['name']} {found['version'] or ''}".strip()
    return row("libc", found["name"] == "glibc", text, remedy="Use a distribution with glibc; NVIDIA has no other.")
