# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes to compile llama.cpp: which of it this host has, and which package brings the rest."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from ..command import run
from ..errors import MissingTool
from ..files import read_text
from ..host import cgroup, machine
from ..sizes import human
from ..tree import Tree

CMAKE_NEEDED = (3, 14)
"""From `cmake_minimum_required` in llama.cpp's CMakeLists.txt."""
DISK_NEEDED = 1536 << 20
"""Source, object files and binaries of one build, with a reserve, in bytes."""
MEMORY_PER_JOB = 1 << 30
"""Peak of one compiler process is 0.7 GB."""

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
class Package:
    """Which packages bring a tool; `pip` is empty where only the distribution has it."""

    debian: str
    redhat: str
    pip: str = ""


_PACKAGES = {
    "git": Package("git", "git"),
    "cmake": Package("cmake", "cmake", "cmake"),
    "ninja": Package("ninja-build", "ninja-build", "ninja"),
    "a C compiler": Package("gcc", "gcc"),
    "a C++ compiler": Package("g++", "gcc-c++"),
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
    path = _SYSTEM_PATH if tree.system else os.environ.get("PATH", _SYSTEM_PATH)
    path = f"{path}:{tree.venv}/bin"
    found = {tool: _which(names, path) for tool, names in _PROGRAMS.items()}
    programs = {tool: program for tool, program in found.items() if program}
    headers = [os.path.join(root, folder, "include/openssl/ssl.h") for folder in ("usr", "usr/local")]
    return Toolchain(
        path=path,
        programs=programs,
        compiler=_compiler(programs["c++"]) if "c++" in programs else None,
        openssl=any(os.path.exists(header) for header in headers),
    )


def require(tools: Toolchain, tree: Tree, git: bool, disk: int = DISK_NEEDED) -> None:
    """Make sure that a build can start.

    :param disk: bytes that must be free.
    :raises MissingTool: names all that is missing at once, with the package that brings each.
    """
    missing = _missing_programs(tools, git)
    packages = [_PACKAGES[name] for name in missing]
    sentences = [_sentence(name, package) for name, package in zip(missing, packages)]
    sentences += _old_cmake(tools) + _full_disk(tree, disk)
    if not sentences:
        return
    remedies = []
    if packages:
        remedies.append(_install(packages, machine.os_release()["family"] == "redhat"))
    if len(sentences) > len(packages):
        remedies.append("Repair the rest as said.")
    raise MissingTool(
        f"llama.cpp cannot be compiled on this host. What is missing: {'; '.join(sentences)}.",
        " ".join(remedies),
        missing=sentences,
    )


def versions(tools: Toolchain) -> dict[str, str]:
    """The first line that each tool says about its version, for the manifest."""
    said = {tool: run([program, "--version"], check=False).stdout for tool, program in tools.programs.items()}
    return {tool: text.splitlines()[0].strip() if text else "" for tool, text in said.items()}


def jobs(wanted: int | None, root: str = "/") -> int:
    """How many compilers run at once: what was asked for, else one for each usable CPU and GiB of free memory."""
    if wanted:
        return wanted
    allowed = cgroup.limits(root)
    usable = int(machine.cpu(root, allowed)["usable"])
    free = re.search(r"^MemAvailable:\s*(\d+) kB", read_text(os.path.join(root, "proc/meminfo")) or "", re.M)
    sizes = [size for size in (allowed.memory_left, int(free.group(1)) * 1024 if free else None) if size is not None]
    return max(1, min(usable, min(sizes) // MEMORY_PER_JOB if sizes else usable))


def _which(names: tuple[str, ...], path: str) -> str | None:
    return next((program for name in names if (program := shutil.which(name, path=path))), None)


def _compiler(program: str) -> str:
    """Family and major version, such as `gnu-12` or `clang-14`."""
    family = "clang" if "clang" in run([program, "--version"], check=False).stdout else "gnu"
    major = run([program, "-dumpversion"], check=False).stdout.strip().partition(".")[0]
    return f"{family}-{major}"


def _missing_programs(tools: Toolchain, git: bool) -> list[str]:
    needed = {"git": "git"} if git else {}
    needed.update({"cmake": "cmake", "ninja": "ninja", "c": "a C compiler", "c++": "a C++ compiler"})
    return [name for tool, name in needed.items() if tool not in tools.programs]


def _sentence(name: str, package: Package) -> str:
    pip = f", from PyPI: {package.pip}" if package.pip else ""
    return f"{name} (Debian: {package.debian}, RHEL: {package.redhat}{pip})"


def _install(packages: list[Package], redhat: bool) -> str:
    debian = "apt-get install " + " ".join(package.debian for package in packages)
    dnf = "dnf install " + " ".join(package.redhat for package in packages)
    first, second = (dnf, debian) if redhat else (debian, dnf)
    wheels = [package.pip for package in packages if package.pip]
    rootless = f" Without root, the role llama_build gets {' and '.join(wheels)} from PyPI." if wheels else ""
    return f"Install with: {first} (or: {second}).{rootless}"


def _old_cmake(tools: Toolchain) -> list[str]:
    if "cmake" not in tools.programs:
        return []
    said = run([tools.programs["cmake"], "--version"], check=False).stdout
    found = re.search(r"version (\d+)\.(\d+)", said)
    if found and (int(found.group(1)), int(found.group(2))) >= CMAKE_NEEDED:
        return []
    return [f"cmake {'.'.join(map(str, CMAKE_NEEDED))} or newer ({tools.programs['cmake']} is {said[:40].strip()!r})"]


def _full_disk(tree: Tree, needed: int) -> list[str]:
    folder = tree.root
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    free = shutil.disk_usage(folder).free
    if free >= needed:
        return []
    clear = f"{tree.work} and {tree.cache} may be deleted"
    return [f"{human(needed)} of free disk space for {tree.root} ({human(free)} are free; {clear})"]
