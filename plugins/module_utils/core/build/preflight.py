# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build needs of a host, checked before anything is changed: a row for each need, a failed one with a remedy."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..command import run
from ..errors import MissingTool
from ..host import machine
from ..sizes import human
from ..tree import Tree
from .toolchain import CMAKE_NEEDED, DISK_NEEDED, MEMORY_NEEDED, Toolchain, available_memory

_INSTALL = {"debian": "apt-get install", "redhat": "dnf install", "arch": "pacman -S", "suse": "zypper install"}
_UPSTREAM = "https://github.com/ggml-org/llama.cpp/blob/master/"


@dataclass(frozen=True)
class Packages:
    """Which packages bring something, by family of distributions; `pip` where the Python package index has it."""

    debian: str
    redhat: str
    arch: str
    suse: str
    pip: str = ""


@dataclass(frozen=True)
class Need:
    """A line of the table: what is needed, where that is said, and which packages bring it."""

    what: str
    source: str
    packages: Packages | None = None


_CUDA_GUIDE = "https://docs.nvidia.com/cuda/cuda-installation-guide-linux/"
_COMPATIBILITY = "https://docs.nvidia.com/deploy/cuda-compatibility/"
_HIP_CMAKE = _UPSTREAM + "ggml/src/ggml-hip/CMakeLists.txt"
_CUDA = Packages("nvidia-cuda-toolkit", "cuda-toolkit", "cuda", "cuda-toolkit")
_ROCM = Packages("rocm-hip-sdk", "rocm-hip-sdk", "rocm-hip-sdk", "rocm-hip-sdk")
# fmt: off
TABLE: dict[str, Need] = {
    "git": Need("git", "git apply and fetch", Packages("git", "git", "git", "git")),
    "cmake": Need(
        "CMake {0} or newer", _UPSTREAM + "CMakeLists.txt", Packages("cmake", "cmake", "cmake", "cmake", "cmake")
    ),
    "ninja": Need(
        "Ninja", "the generator of every build", Packages("ninja-build", "ninja-build", "ninja", "ninja", "ninja")
    ),
    "c": Need("a C compiler", _UPSTREAM + "docs/build.md", Packages("gcc", "gcc", "gcc", "gcc")),
    "c++": Need("a C++ compiler", _UPSTREAM + "docs/build.md", Packages("g++", "gcc-c++", "gcc", "gcc-c++")),
    "disk": Need("{0} of free disk space for {1}", "measured: source, objects and binaries of one build"),
    "memory": Need("{0} of available memory", "measured: the largest compiler process of a build"),
    "libc": Need("glibc", _CUDA_GUIDE),
    "CUDA toolkit": Need("a CUDA toolkit", _CUDA_GUIDE, _CUDA),
    "CUDA parts": Need("{0} in the CUDA toolkit", _UPSTREAM + "ggml/src/ggml-cuda/CMakeLists.txt", _CUDA),
    "CUDA driver": Need("a CUDA toolkit that the driver can run (CUDA {0}.x or older)", _COMPATIBILITY),
    "CUDA architectures": Need("architectures that the CUDA toolkit compiles for", _CUDA_GUIDE),
    "CUDA compiler": Need(
        "a compiler that the CUDA toolkit accepts (GCC {0} or older)", "crt/host_config.h of the toolkit"
    ),
    "ROCm": Need("ROCm 6.1 or newer", _HIP_CMAKE, _ROCM),
    "ROCm parts": Need("{0} of ROCm", _HIP_CMAKE, _ROCM),
    "ROCm architectures": Need("the target of each GPU", _HIP_CMAKE),
    "Vulkan": Need(
        "{0}", _UPSTREAM + "ggml/src/ggml-vulkan/CMakeLists.txt",
        Packages(
            "libvulkan-dev glslc spirv-headers", "vulkan-headers vulkan-loader-devel glslc spirv-headers-devel",
            "vulkan-headers vulkan-icd-loader shaderc spirv-headers", "vulkan-devel shaderc spirv-headers",
        ),
    ),
    "device": Need("a working GPU, as the build becomes the active one", "llama.cpp serves from the CPU without one"),
}
# fmt: on


@dataclass(frozen=True)
class Row:
    """One need, checked: what was found, what is needed, and, if it failed, what helps."""

    name: str
    found: str
    needed: str
    ok: bool
    remedy: str = ""


def row(name: str, ok: bool, found: str, *values: object, remedy: str = "") -> Row:
    """A row for a line of the table; `values` complete its text, the remedy is used if it failed."""
    return Row(name, found, TABLE[name].what.format(*values), ok, "" if ok else remedy)


def common(tools: Toolchain, tree: Tree, git: bool, backend: str = "cpu") -> list[Row]:
    """The rows of every build.

    :param git: the source is a repository. :param backend: decides which CMake will do, and how much disk and memory.
    """
    cmake = CMAKE_NEEDED[backend]
    programs = [name for name in ("git", "cmake", "ninja", "c", "c++") if name != "git" or git]
    wanted = ".".join(map(str, cmake))
    rows = [row(name, name in tools.programs, tools.programs.get(name, "nothing"), wanted) for name in programs]
    if "cmake" in tools.programs:
        said = run([tools.programs["cmake"], "--version"], check=False).stdout
        found = re.search(r"version (\d+)\.(\d+)", said)
        good = found is not None and (int(found.group(1)), int(found.group(2))) >= cmake
        what = f"{tools.programs['cmake']} is {said[:40].strip()!r}"
        rows[programs.index("cmake")] = row("cmake", good, what, wanted)
    return [*rows, _disk(tree, DISK_NEEDED[backend]), _memory(MEMORY_NEEDED[backend])]


def require(rows: Iterable[Row]) -> None:
    """Make sure that a build can start.

    :raises MissingTool: names all that is missing at once, with what was found, what is needed and what helps.
    """
    failed = [line for line in rows if not line.ok]
    if not failed:
        return
    sentences = [f"{line.needed} (found: {line.found})" for line in failed]
    remedies = [line.remedy for line in failed if line.remedy]
    packages = [need for line in failed if (need := TABLE[line.name].packages) and not line.remedy]
    if packages:
        remedies.append(install(packages, machine.os_release()["family"]))
    raise MissingTool(
        f"llama.cpp cannot be compiled on this host. What is missing: {'; '.join(sentences)}.",
        " ".join(remedies),
        missing=sentences,
        preflight=as_dicts(failed),
    )


def install(packages: Sequence[Packages], family: str | None) -> str:
    """How to install packages: the command of this family of distributions, or those of all."""
    families = [family] if family in _INSTALL else list(_INSTALL)
    lines = []
    for name in families:
        words = list(dict.fromkeys(word for brought in packages for word in getattr(brought, str(name)).split()))
        lines.append(f"{_INSTALL[str(name)]} {' '.join(words)}")
    wheels = [brought.pip for brought in packages if brought.pip]
    rootless = f" Without root, the role llama_build gets {' and '.join(wheels)} from PyPI." if wheels else ""
    return f"Install with: {' (or: '.join(lines)}{')' * (len(lines) - 1)}.{rootless}"


def as_dicts(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The rows for a result, with the source of each."""
    return [{**asdict(line), "source": TABLE[line.name].source} for line in rows]


def _disk(tree: Tree, needed: int) -> Row:
    folder = tree.root
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    free = shutil.disk_usage(folder).free
    remedy = f"Make room; {tree.work} and {tree.cache} may be deleted."
    return row("disk", free >= needed, f"{human(free)} are free", human(needed), tree.root, remedy=remedy)


def _memory(needed: int) -> Row:
    left = available_memory()
    remedy = "Stop something, or give the host (or its container) more memory."
    found = "nothing tells" if left is None else f"{human(left)} are available"
    return row("memory", left is None or left >= needed, found, human(needed), remedy=remedy)
