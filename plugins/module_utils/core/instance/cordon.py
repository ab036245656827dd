# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is taken out of service: its instances are stopped, and stay so until somebody says otherwise.

A change that is under way comes to its end first, for both take the lock of the root.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import CommandFailed
from ..files import read_json, read_text, remove_file, write_json
from ..tree import Tree
from ..worker import known
from . import front, launch, naming, proof, unit
from .service import Manager

SCHEMA = 1
FILE = ".cordon"


@dataclass(frozen=True)
class Cordon:
    """Who took the host out of service, why, and since when (UTC, ISO 8601)."""

    by: str = ""
    reason: str = ""
    since: str = ""

    @property
    def text(self) -> str:
        """The same for people: `by ann since 2026-01-31T12:00:00Z: new disk`."""
        who = f"by {self.by or 'somebody'}" + (f" since {self.since}" if self.since else "")
        return who + (f": {self.reason}" if self.reason else "")

    def document(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **asdict(self)}

    def shown(self) -> dict[str, Any]:
        """The cordon in results."""
        return {**asdict(self), "text": self.text}


def path(tree: Tree) -> str:
    return tree.path(FILE)


def read(tree: Tree) -> Cordon | None:
    """The cordon of a host. A file that says nothing that can be understood is one too: only uncordon lifts it."""
    if read_text(path(tree)) is None:
        return None
    said = read_json(path(tree))
    known = said if isinstance(said, dict) else {}
    return Cordon(*(str(known.get(key) or "") for key in ("by", "reason", "since")))


def wanted(before: Cordon | None, by: str, reason: str) -> Cordon:
    """The cordon that shall stand: the one that is there, unless somebody gives another reason."""
    if before is not None and reason in ("", before.reason):
        return before
    return Cordon(by, reason, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def up(manager: Manager) -> list[str]:
    """What runs, is about to, or would at the next boot: instances, what a change that was cut off left beside them,
    and workers of heads elsewhere."""
    workers = [known.MARK + name for name in known.standing(os.path.dirname(manager.path("x")))]
    instances = manager.managed()
    beside = [name for name in map(naming.successor, instances) if os.path.exists(manager.path(name))]
    states = {name: manager.status(name) for name in [*instances, *beside, *workers]}
    return [name for name, state in states.items() if state.active or state.waiting or state.enabled]


def put_up(tree: Tree, manager: Manager, cordon: Cordon, names: Sequence[str], seconds: float) -> int:
    """Note the cordon, then drain and stop these instances. Killed half way, the next run finishes it.

    :param seconds: how long requests that are worked on may take; they are cut off then.
    :returns: how many were.
    """
    write_json(path(tree), cordon.document())
    for name in names:  # nothing comes back meanwhile, whatever happens
        manager.enable(name, False)
    for name in names:  # a front that does not answer keeps no host in service
        with contextlib.suppress(CommandFailed):
            _gate(tree, name).hold()
    cut = drain(tree, manager, names, seconds)
    for name in names:
        manager.stop(name)
    return cut


def lift(tree: Tree) -> bool:
    """Let the host serve again; its instances start with the next deploy. True if it was cordoned."""
    return remove_file(path(tree))


def drain(tree: Tree, manager: Manager, names: Sequence[str], seconds: float) -> int:
    """Wait until none of these instances works on a request, at most so long; how many requests are left."""
    deadline = time.monotonic() + seconds
    busy = {name: 1 for name in names if manager.status(name).active}
    while True:
        busy = {name: works for name in busy if (works := _works(tree, manager, name))}
        if not busy or time.monotonic() >= deadline:
            return sum(busy.values())
        time.sleep(0.5)


def _works(tree: Tree, manager: Manager, name: str) -> int:
    """How many requests an instance works on, as its front and as itself says."""
    url = unit.facts_of(read_text(manager.path(name)) or "").get("URL", "")
    key = (read_text(launch.key_path(tree, name)) or "").partition("\n")[0] or None
    sent = 0
    with contextlib.suppress(CommandFailed):
        sent = _gate(tree, name).busy(front.NEXT if naming.is_successor(name) else front.MAIN)
    return max(sent, proof.busy_slots(url, key) if url else 0)


def _gate(tree: Tree, name: str) -> front.Gate:
    """The front of an instance, which may have none; only the system scope has fronts."""
    return front.Gate(naming.instance_of(name), front.SOCKET if tree.system else "")
