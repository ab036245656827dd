# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kind of build a host needs. Hosts of one kind can share a build; nothing of a toolchain counts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..host import cgroup, gpu, machine
from ..tree import Tree
from . import backend, builds, recipe, toolchain


def describe(
    tree: Tree, asked: str, cpu: str, gpus: int | None = None, split: str = "union", builder: str | None = None
) -> dict[str, Any]:
    """`{target, cpu, backend, architectures, key, missing}` of this host.

    :param asked, cpu, gpus: the backend, the CPU level and the number of GPUs, as asked of `llama_build`; `auto` and
        `native` are resolved.
    :param builder: who compiles, where that is settled: all whom it serves share, whatever they run on.
    :param split: `union`: hosts with other GPUs of one maker share a build for all; `per_arch`: they do not.
    :raises LlamaOpsError: a GPU does not answer, or only a person can tell the backend.
    """
    system, release, libc = os.uname(), machine.os_release(), machine.libc()
    library = f"{libc['name']} {libc['version'] or ''}".strip() if libc["name"] else None
    target = recipe.target(system.machine, release["id"], release["version"], library)
    if cpu == "native":
        cpu = recipe.choose_cpu(cpu, system.machine, machine.cpu("/", cgroup.limits())["flags"]).name
    seen = gpu.look(expected=0 if asked == "cpu" else gpus)
    active = builds.active(tree)
    chosen = backend.choose(asked, seen, active.recipe.get("backend") if active else None, gpus).backend
    found = architectures(seen.devices, chosen)
    driver = str(seen.cuda or "").partition(".")[0] if chosen == "cuda" else ""
    parts = [builder or target, chosen + driver, cpu, *(found if split == "per_arch" else ())]
    return {
        "target": target,
        "cpu": cpu,
        "backend": chosen,
        "architectures": found,
        "key": " ".join(parts),
        "missing": toolchain.missing(tree),
    }


def architectures(devices: Sequence[dict[str, Any]], chosen: str) -> list[str]:
    """What the GPUs of a backend are compiled for: `86`, `gfx1100`. Pure."""
    said = [str(device.get("compute_capability") or "") for device in devices if device["backend"] == chosen]
    return sorted({text.replace(".", "") if chosen == "cuda" else text for text in said if text})
