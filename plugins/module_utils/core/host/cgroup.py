# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control groups of this process allow: memory and CPU time, versions 1 and 2.

Files and meanings: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/{memory,cpu}.rst.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from ..files import read_text


@dataclass(frozen=True)
class Limits:
    """The tightest limits of the own group and all groups around it; None where nothing limits.

    `memory`: bytes. `memory_left`: bytes that can still be used, page cache that the kernel would give back
    counted as free. `cpus`: CPUs' worth of time, such as 1.5.
    """

    memory: int | None
    memory_left: int | None
    cpus: float | None


def limits(root: str = "/") -> Limits:
    """The limits on the calling process; `root` is the folder that holds `proc` and `sys`."""
    memory = [found for v2, folder in _groups(root, "memory") if (found := _memory(v2, folder))]
    cpus = [share for v2, folder in _groups(root, "cpu") if (share := _cpus(v2, folder))]
    return Limits(
        memory=min((limit for limit, _left in memory), default=None),
        memory_left=min((left for _limit, left in memory), default=None),
        cpus=min(cpus, default=None),
    )


def _memory(v2: bool, folder: str) -> tuple[int, int] | None:
    names = ("memory.max", "memory.current", "inactive_file")
    if not v2:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    limit = _number(os.path.join(folder, names[0]))
    # version 1 writes "no limit" as the largest whole number of pages in 63 bits
    if limit is None or limit >= 1 << 62:
        return None
    used = _number(os.path.join(folder, names[1])) or 0
    cached = _stat(os.path.join(folder, "memory.stat"), names[2])
    return limit, max(0, limit - max(0, used - cached))


def _cpus(v2: bool, folder: str) -> float | None:
    if v2:
        words = _text(os.path.join(folder, "cpu.max")).split()
    else:
        words = [_text(os.path.join(folder, f"cpu.cfs_{name}_us")).strip() for name in ("quota", "period")]
    if len(words) != 2 or not all(word.isdigit() for word in words) or not int(words[1]):
        return None
    return int(words[0]) / int(words[1])


def _groups(root: str, controller: str) -> Iterator[tuple[bool, str]]:
    """(is version 2, folder) of the own group of a controller and of each group around it."""
    own = _own_paths(root)
    for mount_root, point, v2, options in _mounts(root):
        if not v2 and controller not in options:
            continue
        path = own.get("" if v2 else controller)
        if path is None:
            continue
        inside = _below(path, mount_root)
        while True:
            yield v2, os.path.join(root, point.lstrip("/"), inside)
            if not inside:
                break
            inside = os.path.dirname(inside)


def _own_paths(root: str) -> dict[str, str]:
    """Controller -> path of the own group, from /proc/self/cgroup; version 2 has the name ""."""
    paths: dict[str, str] = {}
    for line in _text(os.path.join(root, "proc/self/cgroup")).splitlines():
        names, _colon, path = line.partition(":")[2].partition(":")
        paths.update(dict.fromkeys(names.split(","), path))
    return paths


def _mounts(root: str) -> Iterator[tuple[str, str, bool, list[str]]]:
    """(group at the mount, mount point, is version 2, options) of each mounted hierarchy (proc_pid_mountinfo(5))."""
    for line in _text(os.path.join(root, "proc/self/mountinfo")).splitlines():
        left, _dash, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) > 4 and len(kind) > 2 and kind[0] in ("cgroup", "cgroup2"):
            yield fields[3], fields[4], kind[0] == "cgroup2", kind[2].split(",")


def _below(path: str, mount_root: str) -> str:
    """The part of a group's path that lies inside a mount; "" (the mount itself) when it lies elsewhere."""
    base = mount_root.rstrip("/") + "/"
    if ".." in path.split("/") or not (path + "/").startswith(base):
        return ""
    return path[len(base) :].strip("/")


def _number(path: str) -> int | None:
    word = _text(path).strip()
    return int(word) if word.isdigit() else None


def _stat(path: str, name: str) -> int:
    for line in _text(path).splitlines():
        key, _blank, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return 0


def _text(path: str) -> str:
    try:
        return read_text(path) or ""
    except OSError:
        return ""
