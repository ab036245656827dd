# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of an inventory, as Ansible reads it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SECONDS = 120
_LARGEST = 256 << 20


class InventoryError(Exception):
    """The inventory cannot be read; the text says why."""


@dataclass(frozen=True)
class Known:
    """A host by its inventory. `problems` are variables that have no value here, by name, and why."""

    name: str
    groups: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    connection: Mapping[str, Any] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inventory:
    """The hosts by name; `sealed` are the files that only a vault password would open."""

    hosts: Mapping[str, Known]
    sealed: tuple[str, ...] = ()


async def read(sources: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Inventory:
    """Have Ansible read the inventory, in a process of its own.

    :raises InventoryError: it could not.
    """
    missing = [source for source in sources if "," not in source and not (folder / source).exists()]
    if missing:
        raise InventoryError(f"There is no inventory {missing[0]}.")
    package = Path(__file__).resolve().parents[2]
    strict = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true", "ANSIBLE_NOCOLOR": "1"}
    env = {
        **os.environ,
        **strict,
        **environment,
        "PYTHONPATH": os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")]),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"{__package__}.asking", *sources, cwd=folder, env=env,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_SECONDS):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise InventoryError(f"Ansible did not read the inventory within {_SECONDS} s.") from None
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode:
        last = (err.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"])[-1]
        raise InventoryError(f"Ansible cannot read the inventory: {last[:500]}")
    return await asyncio.to_thread(_parsed, out)


def _parsed(out: bytes) -> Inventory:
    said = json.loads(out[out.index(b"{") : _LARGEST])
    hosts = {
        name: Known(name, tuple(item["groups"]), item["variables"], item["connection"], item["problems"])
        for name, item in said["hosts"].items()
    }
    return Inventory(hosts, tuple(said["sealed"]))
