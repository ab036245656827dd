# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is: memory, processor, NUMA nodes, system. Sizes are bytes."""

from __future__ import annotations

import glob
import os
import re
import shlex
from typing import Any

from ..errors import MissingLibrary
from ..files import read_text
from .cgroup import Limits, limits

# words of ID and ID_LIKE in os-release(5) that name a family
_FAMILIES = {
    "debian": "debian",
    "ubuntu": "debian",
    "rhel": "redhat",
    "fedora": "redhat",
    "centos": "redhat",
    "arch": "arch",
    "suse": "suse",
    "opensuse": "suse",
}


def read(root: str = "/") -> dict[str, Any]:
    """The facts of this host as JSON-able data; what cannot be read is None.

    :param root: the folder that holds `proc`, `sys`, `etc` and `run`.
    :raises MissingLibrary: psutil cannot be imported.
    """
    allowed = limits(root)
    system = os.uname()
    return {
        "name": system.nodename,
        "machine": system.machine,
        "kernel": system.release,
        "os": os_release(root),
        "libc": libc(root),
        "container": container(root),
        "memory": memory(root, allowed),
        "cpu": cpu(root, allowed),
        "numa": numa(root),
    }


def memory(root: str, allowed: Limits) -> dict[str, int | None]:
    """`{total, available, installed, limit}`: the first two never exceed what the control group allows.

    :raises MissingLibrary: psutil cannot be imported.
    """
    try:
        import psutil
    except ImportError as exc:
        raise MissingLibrary("psutil", "to read the memory of the host") from exc
    before = psutil.PROCFS_PATH
    psutil.PROCFS_PATH = os.path.join(root, "proc")
    try:
        found = psutil.virtual_memory()
    finally:
        psutil.PROCFS_PATH = before
    limit = allowed.memory if allowed.memory is not None and allowed.memory < found.total else None
    left = found.available if allowed.memory_left is None else min(found.available, allowed.memory_left)
    return {"total": limit or found.total, "available": left, "installed": found.total, "limit": limit}


def storage(folder: str) -> dict[str, Any]:
    """`{path, total, free}` of the file system that holds a folder, or will hold it."""
    path = os.path.abspath(folder)
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    found = os.statvfs(path)
    return {"path": path, "total": found.f_frsize * found.f_blocks, "free": found.f_frsize * found.f_bavail}


def cpu(root: str, allowed: Limits) -> dict[str, Any]:
    """`{model, flags, logical, physical, quota, usable}`.

    `usable` is how many threads can run at once: CPUs online, in the process's affinity, within the quota.
    """
    info = _cpuinfo(root)
    online = cpu_list(_line(root, "sys/devices/system/cpu/online"))
    affinity = re.search(r"^Cpus_allowed_list:\s*(\S+)$", _text(root, "proc/self/status"), re.M)
    own = cpu_list(affinity.group(1)) if affinity else []
    cores = {
        _line(root, f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list") or str(number)
        for number in online
    }
    usable = min(len(online) or 1, len(own) or len(online) or 1)
    if allowed.cpus is not None:
        usable = min(usable, max(1, int(allowed.cpus)))
    return {
        # ARM has no name here, but a code of the maker and of the part
        "model": info.get("model name") or _joined(info, "CPU implementer", "CPU part") or info.get("cpu"),
        "flags": sorted((info.get("flags") or info.get("Features") or info.get("isa") or "").split()),
        "logical": len(online) or None,
        "physical": len(cores) or None,
        "quota": allowed.cpus,
        "usable": usable,
    }


def numa(root: str = "/") -> list[dict[str, Any]]:
    """`[{node, cpus, total, free}]`, by number; empty where the kernel shows no nodes."""
    nodes = []
    for folder in glob.glob(os.path.join(glob.escape(root), "sys/devices/system/node/node[0-9]*")):
        sizes = dict(re.findall(r"(MemTotal|MemFree):\s*(\d+) kB", _text(folder, "meminfo")))
        nodes.append(
            {
                "node": int(folder.rpartition("node")[2]),
                "cpus": cpu_list(_line(folder, "cpulist")),
                "total": int(sizes["MemTotal"]) * 1024 if "MemTotal" in sizes else None,
                "free": int(sizes["MemFree"]) * 1024 if "MemFree" in sizes else None,
            }
        )
    return sorted(nodes, key=lambda node: node["node"])


def cpu_list(text: str) -> list[int]:
    """`0-2,8` -> [0, 1, 2, 8], the kernel's list format; parts that are none are left out."""
    numbers: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,5})(?:-(\d{1,5}))?\s*", part)
        if found:
            first = int(found.group(1))
            numbers.update(range(first, int(found.group(2) or first) + 1))
    return sorted(numbers)


def os_release(root: str = "/") -> dict[str, str | None]:
    """`{family, id, version, name}` of the distribution (os-release(5)); family is debian, redhat, arch, suse
    or None.
    """
    values = {}
    for line in (_text(root, "etc/os-release") or _text(root, "usr/lib/os-release")).splitlines():
        key, sign, value = line.partition("=")
        if sign and not key.startswith("#"):
            values[key.strip()] = _unquoted(value)
    words = [values.get("ID", ""), *values.get("ID_LIKE", "").split()]
    return {
        "family": next((_FAMILIES[word] for word in words if word in _FAMILIES), None),
        "id": values.get("ID"),
        "version": values.get("VERSION_ID"),
        "name": values.get("PRETTY_NAME"),
    }


def libc(root: str = "/") -> dict[str, str | None]:
    """`{name, version}` of the C library that this Python runs on."""
    try:
        name, _blank, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError):
        name, version = "", ""
    if not name and glob.glob(os.path.join(glob.escape(root), "lib/ld-musl-*")):
        name = "musl"
    return {"name": name or None, "version": version or None}


def container(root: str = "/") -> str | None:
    """The kind of container this runs in (`docker`, `podman`, `lxc`, `systemd-nspawn` ...), or None."""
    said = _line(root, "run/systemd/container")
    if said:
        return said
    started = dict(part.partition("=")[::2] for part in _text(root, "proc/1/environ").split("\0"))
    if started.get("container"):
        return started["container"]
    signs = {"run/.containerenv": "podman", ".dockerenv": "docker", "run/secrets/kubernetes.io": "kubernetes"}
    return next((kind for path, kind in signs.items() if os.path.exists(os.path.join(root, path))), None)


def _cpuinfo(root: str) -> dict[str, str]:
    """The first processor of /proc/cpuinfo."""
    first = _text(root, "proc/cpuinfo").strip().split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _colon, value in pairs}


def _joined(info: dict[str, str], *keys: str) -> str:
    return ", ".join(f"{key} {info[key]}" for key in keys if key in info)


def _unquoted(value: str) -> str:
    try:
        return "".join(shlex.split(value))
    except ValueError:
        return value.strip()


def _line(folder: str, path: str) -> str:
    return _text(folder, path).strip()


def _text(folder: str, path: str) -> str:
    try:
        return read_text(os.path.join(folder, path)) or ""
    except OSError:
        return ""
