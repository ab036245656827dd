# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a GPU build finds a GPU on this host. Without one it would start, serve from the CPU, and say "offloaded"."""

from __future__ import annotations

import os
from typing import Any

from .. import sandbox
from ..command import run, tail
from ..errors import NotProven
from ..host import listed
from ..tree import Tree
from .backend import GPU

_SECONDS = 60  # a driver that initialises eight GPUs takes a few


def find(tree: Tree, server: str, backend: str) -> tuple[list[dict[str, Any]], str]:
    """The devices of this backend that a llama-server lists, as `listed.parse` gives them, and what it said else."""
    env = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    argv = [server, "--list-devices"]
    command = sandbox.wrap(tree, argv, unit=f"llama-devices-{os.getpid()}", seconds=_SECONDS, env=env)
    said = run(command, timeout=_SECONDS + 10, check=False)
    found = [device for device in listed.parse(said.stdout) if device["backend"] == backend]
    return found, tail(said.stderr, 3)


def require(tree: Tree, folder: str, backend: str) -> list[dict[str, Any]]:
    """The devices that a build in `folder` finds; one for the CPU needs none.

    :raises NotProven: a GPU build finds none.
    """
    if backend not in GPU:
        return []
    found, said = find(tree, os.path.join(folder, "bin", "llama-server"), backend)
    if not found:
        why = f" It says: {said}" if said else ""
        raise NotProven(
            f"{os.path.basename(folder)} is a build for {backend}, and it finds no {GPU[backend]} device on this host, "
            f"so it would serve from the CPU.{why}",
            "Repair the driver or its permissions (module gpu_facts tells more), or use a build for this host "
            "(backend: cpu). What was active stays active.",
        )
    return found
