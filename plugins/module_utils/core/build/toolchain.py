# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that compile llama.cpp: which of them this host has, and what they say about themselves."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from ..command import run
from ..files import read_text
from ..host import cgroup, machine
from ..tree import Tree

CMAKE_NEEDED = {"cpu": (3, 14), "cuda": (3, 18), "hip": (3, 21), "vulkan": (3, 19)}
"""From `cmake_minimum_required` in llama.cpp's CMakeLists.txt and in those of the backends."""
_GIB = 1 << 30
DISK_NEEDED = {"cpu": 3 * _GIB // 2, "cuda": 6 * _GIB, "hip": 4 * _GIB, "vulkan": 3 * _GIB}
"""Source, object files, libraries that go with it, and binaries of one build, with a reserve, in bytes."""
MEMORY_NEEDED = {"cpu": 3 * _GIB // 4, "cuda": 3 * _GIB // 4, "hip": _GIB, "vulkan": 2 * _GIB}
"""Bytes that the largest process of a build has. Measured: 695 MB, 737 MB, and 2.0 GB for the shaders of Vulkan, which
are one file; that of HIP is not measured."""
_MEMORY_PER_JOB = _GIB  # for each further process: few are large at the same time

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROGRAMS = {
    "git": ("git",),
    "cmake": ("cmake", "cmake3"),
    "ninja": ("ninja", "ninja-build"),
    "c": ("cc", "gcc", "clang"),
    "c++": ("c++", "g++", "clang++"),
    "ccache": ("ccache",),
}


@dataclass(frozen=True)
class Toolchain:
    """What was found.

    :param path: the PATH that was searched and that the tools run with.
    :param programs: git, cmake, ninja, c, c++, ccache -> absolute path; what is missing is left out.
    :param compiler: family and major version of the C++ compiler, such as `gnu-12`; None without one.
    :param openssl: OpenSSL's headers are installed.
    """

    path: str
    programs: Mapping[str, str]
    compiler: str | None
    openssl: bool


def find(tree: Tree, root: str = "/") -> Toolchain:
    """Look on PATH (in the system scope: the system's folders) and in the managed virtual environment."""
    path = _path(tree)
    found = {tool: _which(names, path) for tool, names in _PROGRAMS.items()}
    programs = {tool: program for tool, program in found.items() if program}
    return Toolchain(
        path=path,
        programs=programs,
        compiler=_compiler(programs["c++"]) if "c++" in programs else None,
        openssl=_has_openssl(root),
    )


def missing(tree: Tree, root: str = "/") -> list[str]:
    """What `find` would not find, `openssl` among it; no program is run."""
    path = _path(tree)
    absent = [tool for tool, names in _PROGRAMS.items() if not _which(names, path)]
    return absent + ([] if _has_openssl(root) else ["openssl"])


def _path(tree: Tree) -> str:
    path = _SYSTEM_PATH if tree.system else os.environ.get("PATH", _SYSTEM_PATH)
    return f"{path}:{tree.venv}/bin"


def _has_openssl(root: str) -> bool:
    headers = [os.path.join(root, folder, "include/openssl/ssl.h") for folder in ("usr", "usr/local")]
    return any(os.path.exists(header) for header in headers)


def versions(tools: Toolchain) -> dict[str, str]:
    """The first line that each tool says about its version, for the manifest."""
    said = {tool: run([program, "--version"], check=False).stdout for tool, program in tools.programs.items()}
    return {tool: text.splitlines()[0].strip() if text else "" for tool, text in said.items()}


def jobs(wanted: int | None, backend: str, root: str = "/") -> int:
    """How many compilers run at once: what was asked for, else one for each usable CPU as memory allows.

    The largest process of this backend must have room, and each further one a GiB.
    """
    if wanted:
        return wanted
    allowed = cgroup.limits(root)
    usable = int(machine.cpu(root, allowed)["usable"])
    left = available_memory(root)
    if left is None:
        return usable
    return max(1, min(usable, 1 + (left - MEMORY_NEEDED[backend]) // _MEMORY_PER_JOB))


def available_memory(root: str = "/") -> int | None:
    """Bytes that this host, and this control group, have left; None where nothing tells."""
    free = re.search(r"^MemAvailable:\s*(\d+) kB", read_text(os.path.join(root, "proc/meminfo")) or "", re.M)
    sizes = (cgroup.limits(root).memory_left, int(free.group(1)) * 1024 if free else None)
    return min((size for size in sizes if size is not None), default=None)


def _which(names: tuple[str, ...], path: str) -> str | None:
    return next((program for name in names if (program := shutil.which(name, path=path))), None)


def _compiler(program: str) -> str:
    """Family and major version, such as `gnu-12` or `clang-14`."""
    family = "clang" if "clang" in run([program, "--version"], check=False).stdout else "gnu"
    major = run([program, "-dumpversion"], check=False).stdout.strip().partition(".")[0]
    return f"{family}-{major}"
