# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a host with what its active build sees of its devices."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from .. import command, sandbox
from ..build import builds
from ..errors import CommandFailed
from ..host import gpu, listed, machine
from ..tree import Tree

_SECONDS = 30  # a driver that initialises eight GPUs takes a few


def read(tree: Tree | None, expected: int | None = None) -> dict[str, Any]:
    """What `gpu.read` finds, with `host.storage` and `build`, both None without a tree; errors as there."""
    facts = gpu.read(expected=expected)
    facts["host"]["storage"] = machine.storage(tree.root) if tree else None
    facts["build"] = _checked(tree, facts["devices"]) if tree else None
    return facts


def _checked(tree: Tree, devices: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What the active build sees: `{id, devices, differences}`; None without a build that can be asked."""
    build = builds.active(tree)
    if build is None:
        return None
    argv = [build.tool("llama-server"), "--list-devices"]
    env = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    wrapped = sandbox.wrap(tree, argv, unit=f"llama-devices-{os.getpid()}", seconds=_SECONDS, env=env)
    try:
        seen = listed.parse(command.run(wrapped, timeout=_SECONDS + 10).stdout)
    except CommandFailed as exc:
        return {"id": build.id, "devices": None, "differences": [f"The active build lists no devices: {exc.problem}"]}
    return {"id": build.id, "devices": seen, "differences": listed.differences(gpu.usable(devices), seen)}
