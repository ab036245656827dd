# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kind of build a host needs. Hosts of one kind can share a build; nothing of a toolchain counts."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from ..host import cgroup, gpu, machine
from . import recipe


def describe(backend: str, cpu: str, root: str = "/") -> dict[str, Any]:
    """`{target, cpu, backend, key}` of this host.

    :param backend, cpu: as asked of `llama_build`; `native` becomes the name of what this CPU has, and `auto` gets
        the makers of the GPUs on the bus.
    :raises InvalidInput: a CPU level that cannot be built.
    """
    system, release, libc = os.uname(), machine.os_release(root), machine.libc(root)
    library = f"{libc['name']} {libc['version'] or ''}".strip() if libc["name"] else None
    target = recipe.target(system.machine, release["id"], release["version"], library)
    if cpu == "native":
        flags = machine.cpu(root, cgroup.limits(root))["flags"]
        cpu = recipe.choose_cpu(cpu, system.machine, flags).name
    vendors = sorted({str(found).partition(" ")[0].lower() for found in gpu.scan(root)})
    return {"target": target, "cpu": cpu, "backend": backend, "key": key(target, backend, cpu, vendors)}


def key(target: str, backend: str, cpu: str, vendors: Collection[str]) -> str:
    """The name of a kind of hosts: what a build for one of them must be to suit all of them. Pure."""
    kind = f"auto({'+'.join(vendors)})" if backend == "auto" and vendors else backend
    return f"{target} {kind} {cpu}"
