# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the loader of a host will find all that a build needs, without running it (as ld.so(8) looks for it)."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator

from ..errors import NotProven, Untrusted
from ..files import read_text
from . import elf
from .elf import Elf

DRIVER = ("libcuda.so.", "libnvidia-")
"""Libraries that come with NVIDIA's driver and never with a build."""
PACKAGES = {
    "libgomp.so.1": "apt: libgomp1, dnf: libgomp, pacman: gcc-libs, zypper: libgomp1",
    "libstdc++.so.6": "apt: libstdc++6, dnf: libstdc++, pacman: gcc-libs, zypper: libstdc++6",
    "libgcc_s.so.1": "apt: libgcc-s1, dnf: libgcc, pacman: gcc-libs, zypper: libgcc_s1",
    "libssl.so.3": "apt: libssl3 or libssl3t64, dnf: openssl-libs, pacman: openssl, zypper: libopenssl3",
    "libvulkan.so.1": "apt: libvulkan1, dnf: vulkan-loader, pacman: vulkan-icd-loader, zypper: libvulkan1",
}
"""What brings the libraries that a build takes from the distribution."""
_DEFAULT = ("lib64", "usr/lib64", "lib", "usr/lib", "lib/*-linux-gnu", "usr/lib/*-linux-gnu", "usr/local/lib")
_LOADERS = ("ld-linux", "ld64.so", "linux-vdso")


def require(folder: str, driver: bool, root: str = "/") -> None:
    """Make sure that everything in `bin` and `lib` of a build finds its libraries and their symbol versions here.

    :param driver: the libraries of a GPU's driver must be there too.
    :raises NotProven: names what is missing, and who needs it.
    """
    lacking = missing(folder, driver, root)
    if lacking:
        known = [
            f"{name} ({package})"
            for name, package in PACKAGES.items()
            if any(said.startswith(name) for said in lacking)
        ]
        raise NotProven(
            f"On this host the build does not find all its libraries: {'; '.join(lacking)}.",
            f"Install {', '.join(known) or 'them'}, or build for this distribution (for CUDA: cuda_runtime: bundle).",
            missing=lacking,
        )


def missing(folder: str, driver: bool, root: str = "/") -> list[str]:
    """Sentences such as `libfoo.so.1 (for llama-server)`; empty if all is found."""
    places = system_folders(root)
    open_ = [
        path for name in ("bin", "lib") for path in sorted(glob.glob(os.path.join(glob.escape(folder), name, "*")))
    ]
    open_ = [path for path in open_ if os.path.isfile(path) and elf.is_elf(path)]
    seen: dict[str, Elf] = {}
    lacking: dict[str, str] = {}
    while open_:
        path = open_.pop(0)
        if os.path.realpath(path) in seen:
            continue
        found = seen[os.path.realpath(path)] = elf.read(path)
        for name in found.needed:
            if name.startswith(_LOADERS) or (name.startswith(DRIVER) and not driver):
                continue
            target = find(name, path, found, places)
            if target is None:
                lacking.setdefault(name, f"{name} (for {os.path.basename(path)})")
                continue
            open_.append(target)
            for version in _undefined(found.versions.get(name, ()), target):
                said = f"{version} in {target} (for {os.path.basename(path)})"
                lacking.setdefault(f"{name} {version}", said)
    return list(lacking.values())


def find(name: str, path: str, user: Elf, places: Collection[str]) -> str | None:
    """The file that the loader takes for a library that the file `path` needs."""
    origin = os.path.dirname(os.path.realpath(path))
    own = [entry.replace("${ORIGIN}", origin).replace("$ORIGIN", origin) for entry in user.rpath]
    for folder in [*own, *places]:
        candidate = os.path.join(folder, name)
        if os.path.exists(candidate) and _fits(candidate, user):
            return candidate
    return None


def system_folders(root: str = "/") -> list[str]:
    """The folders where the loader looks on its own: those of /etc/ld.so.conf, then the default ones."""
    listed = [
        os.path.join(root, path.lstrip("/")) for path in _configured(os.path.join(root, "etc/ld.so.conf"), root, 0)
    ]
    patterns = [os.path.join(glob.escape(root), pattern) for pattern in _DEFAULT]
    return listed + [path for pattern in patterns for path in sorted(glob.glob(pattern))]


def _configured(path: str, root: str, depth: int) -> Iterator[str]:
    for line in (read_text(path) or "").splitlines() if depth < 5 else []:
        words = line.partition("#")[0].split()
        if words[:1] == ["include"]:
            for pattern in words[1:]:
                inside = os.path.join(root, pattern.lstrip("/")) if pattern.startswith("/") else pattern
                for file in sorted(glob.glob(os.path.join(os.path.dirname(path), inside))):
                    yield from _configured(file, root, depth + 1)
        elif words and words[0].startswith("/"):
            yield words[0]


def _fits(path: str, user: Elf) -> bool:
    """True if a library is one for the same kind of machine; the loader passes over others."""
    try:
        return elf.is_elf(path) and elf.read(path).machine == user.machine
    except Untrusted:
        return False


def _undefined(versions: Collection[str], path: str) -> list[str]:
    """Those versions that a library does not define; one without versions takes all (ld.so only warns)."""
    defined = elf.read(path).defines
    return [version for version in versions if defined and version not in defined]
