# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of all instances of a host, and of every other llama.cpp process, as results show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..build import builds
from ..errors import LlamaOpsError
from ..tree import Tree
from ..worker import deploy as worker_deploy
from . import cordon, importing, overview, processes, room
from .processes import Found
from .service import Manager

Facts = Callable[[], Mapping[str, Any]]
_NOTHING = {"name": "", "definition": {}, "yaml": ""}


def describe(tree: Tree, manager: Manager, names: Sequence[str], facts: Facts) -> dict[str, Any]:
    """`{instances, without_process, processes, workers, manager, hardening, cordon}`; changes nothing.

    :param names: only these instances; all if empty.
    :param facts: reads the devices of the host, as `gpu.read` does; called where servers of others use them.
    """
    wanted = [name for name in manager.managed() if not names or name in names]
    found = {name: overview.look(tree, manager, name) for name in wanted}
    stands = cordon.read(tree)
    return {
        "instances": found,
        "without_process": processes.without_process(found),
        "processes": shown(tree, processes.survey(tree, manager), facts),
        "workers": worker_deploy.standing(manager),
        "manager": manager.kind,
        "hardening": manager.hardening,
        "cordon": stands.shown() if stands else None,
    }


def shown(tree: Tree, found: Sequence[Found], facts: Facts) -> list[dict[str, Any]]:
    """Each process for a result; those of others with the entry for the inventory that would replace them."""
    pids = {item.process.pid for item in found}
    return [{**item.document(), **(imported(tree, item, facts) if adoptable(item, pids) else {})} for item in found]


def adoptable(item: Found, pids: set[int]) -> bool:
    """Whether a process is a server of somebody else, and not one that another of them started."""
    return item.serves and item.belongs in (processes.FOREIGN, processes.EXTERNAL) and item.around.parent not in pids


def imported(tree: Tree, found: Found, facts: Facts) -> dict[str, Any]:
    """`{name, definition, yaml, notes}` of a process; only notes where the active build does not take its command."""
    build = builds.active(tree)
    if build is None:
        return {**_NOTHING, "notes": ["No build is active, with whose flags it could be read."]}
    drives = build.recipe.get("backend") in room.DRIVES
    try:
        entry = importing.entry(found.process, build.capabilities(), facts() if drives else {})
    except LlamaOpsError as exc:
        return {**_NOTHING, "notes": [str(exc)]}
    return {"name": entry.name, "definition": entry.entry, "yaml": entry.yaml, "notes": entry.notes}
