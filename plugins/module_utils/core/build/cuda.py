# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CUDA toolkits: which there are, what each can compile for, and which one a host's driver can run.

Everything is read from files of the toolkit; nothing of it is run.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import InvalidInput
from ..files import read_text

_PLACES = ("usr/local/cuda", "usr/local/cuda-*", "opt/cuda", "opt/cuda-*", "usr/lib/nvidia-cuda-toolkit", "usr")
_LIBRARIES = ("lib64", "lib", "targets/*/lib", "lib/*-linux-gnu")
_ARCHITECTURE = re.compile(r"(\d{2,3})[af]?(?:-real|-virtual)?", re.A)

# CUDA Toolkit release notes ("new features", "deprecated and dropped architectures"):
# (toolkit, compute capabilities that it adds, those that it drops)
_CAPABILITIES = (
    ((10, 0), "30 32 35 37 50 52 53 60 61 62 70 72 75", ""),
    ((11, 0), "80", "30 32"),
    ((11, 1), "86", ""),
    ((11, 4), "87", ""),
    ((11, 8), "89 90", ""),
    ((12, 0), "", "35 37"),
    ((12, 8), "100 101 120", ""),
    ((12, 9), "103 121", ""),
    ((13, 0), "88 110", "50 52 53 60 61 62 70 72 101"),
)


@dataclass(frozen=True)
class Toolkit:
    """A CUDA toolkit: its folder and its version, such as (13, 0)."""

    home: str
    version: tuple[int, int]

    def __str__(self) -> str:
        return f"CUDA {self.name} in {self.home}"

    @property
    def name(self) -> str:
        """The version as a text."""
        return f"{self.version[0]}.{self.version[1]}"

    @property
    def nvcc(self) -> str:
        return os.path.join(self.home, "bin", "nvcc")

    def include(self) -> str:
        """The folder of its headers."""
        return _include(self.home) or os.path.join(self.home, "include")

    def libraries(self) -> list[str]:
        """The folders of its libraries that are there, without that of the driver's stub."""
        found = [path for pattern in _LIBRARIES for path in glob.glob(os.path.join(glob.escape(self.home), pattern))]
        return sorted({os.path.realpath(path) for path in found if os.path.isdir(path)})

    def library(self, name: str) -> str | None:
        """The path of one of its libraries."""
        paths = [os.path.join(folder, name) for folder in self.libraries()]
        return next((path for path in paths if os.path.exists(path)), None)

    def missing(self, static: bool = False) -> list[str]:
        """The parts that llama.cpp needs and this toolkit lacks."""
        names = ["libcudart_static.a", "libcublas_static.a", "libcublasLt_static.a"] if static else []
        names = names or ["libcudart.so", "libcublas.so"]
        lacking = [name for name in [*names, "stubs/libcuda.so"] if not self.library(name)]
        if not os.path.exists(os.path.join(self.include(), "cublas_v2.h")):
            lacking.append("cublas_v2.h")
        return lacking

    def newest_gcc(self) -> int | None:
        """The newest GCC that its headers accept (`crt/host_config.h`); None where they do not say."""
        text = read_text(os.path.join(self.include(), "crt", "host_config.h")) or ""
        found = re.search(r"^#if .*\b__GNUC__ > (\d{1,2})\b", text, re.M)
        return int(found.group(1)) if found else None

    def compiles_for(self) -> list[int]:
        """The compute capabilities (90 for 9.0) that it knows."""
        known: set[int] = set()
        for since, added, dropped in _CAPABILITIES:
            if self.version >= since:
                known |= set(map(int, added.split()))
                known -= set(map(int, dropped.split()))
        return sorted(known)

    def knows(self, number: int) -> bool:
        """True if it compiles for this compute capability, as far as can be told of a toolkit newer than this table."""
        newest = _CAPABILITIES[-1][0]
        return number in self.compiles_for() or (self.version > newest and number > max(self.compiles_for()))

    def static_arguments(self) -> dict[str, str]:
        """CMake variables that put its libraries into the program itself.

        Upstream's GGML_STATIC would link everything statically, which leaves no way to load the driver. So the targets
        of CMake's FindCUDAToolkit are led to the archives, and what these need is added.
        """
        archives = {name: self.library(f"lib{name}_static.a") or "" for name in ("cudart", "cublas", "cublasLt")}
        culibos = self.library("libculibos.a")
        needed = [archives["cublasLt"], culibos or "", archives["cudart"], "-ldl", "-lrt", "-lpthread"]
        standard = " ".join(part for part in needed if part)
        return {
            "CUDA_cudart_LIBRARY": archives["cudart"],
            "CUDA_cublas_LIBRARY": archives["cublas"],
            "CMAKE_CUDA_STANDARD_LIBRARIES": standard,
            "CMAKE_CXX_STANDARD_LIBRARIES": standard,
        }


def serves(architecture: str, capability: str) -> bool:
    """True if code of this architecture runs on a GPU of this compute capability (CUDA C++ Programming Guide, "Binary
    Compatibility" and "PTX Compatibility"): binary code within a major version, PTX on everything newer.
    """
    code, own = number(architecture), int(capability.replace(".", ""))
    if re.match(r"\d+[af]", architecture):
        return code == own
    binary = not architecture.endswith("-virtual") and code // 10 == own // 10 and code <= own
    return binary or (not architecture.endswith("-real") and code <= own)


def find(home: str | None, path: str, environment: Mapping[str, str], root: str = "/") -> list[Toolkit]:
    """The CUDA toolkits of a host, the newest first; with `home` only that one.

    :param path: PATH, on which an nvcc leads to its toolkit.
    :param environment: whose CUDA_HOME and CUDA_PATH count.
    :raises InvalidInput: `home` is no CUDA toolkit.
    """
    if home:
        toolkit = _read(home)
        if toolkit is None:
            raise InvalidInput(
                f"cuda_home: {home} is no CUDA toolkit.",
                "It must hold bin/nvcc and include/cuda.h of the same version.",
            )
        return [toolkit]
    places = [environment[name] for name in ("CUDA_HOME", "CUDA_PATH") if environment.get(name)]
    places += [found for place in _PLACES for found in glob.glob(os.path.join(glob.escape(root), place))]
    nvcc = [os.path.join(folder, "nvcc") for folder in path.split(":")]
    places += [os.path.dirname(os.path.dirname(os.path.realpath(name))) for name in nvcc if os.path.exists(name)]
    found = {os.path.realpath(toolkit.home): toolkit for place in places if (toolkit := _read(place))}
    return sorted(found.values(), key=lambda toolkit: (toolkit.version, toolkit.home), reverse=True)


def choose(toolkits: Sequence[Toolkit], driver: str | None) -> Toolkit | None:
    """The newest toolkit that a driver can run; without a driver the newest of all.

    A driver runs programs of every toolkit with its own or an earlier major version (CUDA Compatibility guide, "minor
    version compatibility", from CUDA 11 on).

    :param driver: the CUDA version that the driver supports, such as `13.0`.
    """
    return next((toolkit for toolkit in toolkits if driver is None or runs(toolkit, driver)), None)


def runs(toolkit: Toolkit, driver: str) -> bool:
    """True if a driver of this CUDA version runs what the toolkit makes."""
    return toolkit.version[0] <= int(driver.partition(".")[0])


def check_architectures(given: Sequence[str]) -> list[str]:
    """Architectures as CMake takes them (`86`, `90a-real`, `75-virtual`), in order, each once.

    :raises InvalidInput: one cannot be one; `native` is none, it would mean another thing on each host.
    """
    for text in given:
        if not _ARCHITECTURE.fullmatch(text):
            raise InvalidInput(
                f"architectures: {text!r} is no CUDA architecture.",
                "Write the compute capability without its dot, such as 86 or 90, or leave it out to use what is here.",
            )
    return sorted(set(given), key=lambda text: (number(text), text))


def number(architecture: str) -> int:
    """`90a-real` -> 90."""
    found = _ARCHITECTURE.fullmatch(architecture)
    return int(found.group(1)) if found else 0


def of_devices(capabilities: Sequence[str | None]) -> list[str]:
    """The architectures for GPUs of these compute capabilities; the newest also as PTX, for GPUs to come.

    `["8.6", "9.0"]` -> `["86-real", "90"]`.
    """
    numbers = sorted({int(text.replace(".", "")) for text in capabilities if text})
    return [f"{known}-real" for known in numbers[:-1]] + [str(known) for known in numbers[-1:]]


def _read(home: str) -> Toolkit | None:
    include = _include(home)
    if include is None or not os.path.exists(os.path.join(home, "bin", "nvcc")):
        return None
    text = read_text(os.path.join(include, "cuda.h")) or ""
    found = re.search(r"^#define CUDA_VERSION (\d{4,5})\b", text, re.M)
    if not found:
        return None
    version = int(found.group(1))
    return Toolkit(os.path.normpath(home), (version // 1000, version % 1000 // 10))


def _include(home: str) -> str | None:
    patterns = ("include", "targets/*/include")
    found = [path for pattern in patterns for path in sorted(glob.glob(os.path.join(glob.escape(home), pattern)))]
    return next((path for path in found if os.path.exists(os.path.join(path, "cuda.h"))), None)
