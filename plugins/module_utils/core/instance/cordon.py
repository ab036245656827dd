# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is taken out of service: its instances are stopped, and stay so until somebody says otherwise."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..files import read_json, read_text, remove_file, write_json
from ..tree import Tree
from ..worker import known
from . import launch, proof, unit
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
    """The instances, and workers of heads elsewhere, that run, are about to, or would at the next boot."""
    workers = [known.MARK + name for name in known.standing(os.path.dirname(manager.path("x")))]
    states = {name: manager.status(name) for name in [*manager.managed(), *workers]}
    return [name for name, state in states.items() if state.active or state.waiting or state.enabled]


def put_up(tree: Tree, manager: Manager, cordon: Cordon, names: Sequence[str], seconds: float) -> None:
    """Note the cordon, then drain and stop these instances. Killed half way, the next run finishes it.

    :param seconds: how long requests that are worked on may take; they are cut off then.
    """
    write_json(path(tree), cordon.document())
    for name in names:  # nothing comes back meanwhile, whatever happens
        manager.enable(name, False)
    drain(tree, manager, names, seconds)
    for name in names:
        manager.stop(name)


def lift(tree: Tree) -> bool:
    """Let the host serve again; its instances start with the next deploy. True if it was cordoned."""
    return remove_file(path(tree))


def drain(tree: Tree, manager: Manager, names: Sequence[str], seconds: float) -> None:
    """Wait until none of these instances works on a request, at most so long."""
    deadline = time.monotonic() + seconds
    busy = [name for name in names if manager.status(name).active]
    while busy and time.monotonic() < deadline:
        busy = [name for name in busy if _works(tree, manager, name)]
        if busy:
            time.sleep(0.5)


def _works(tree: Tree, manager: Manager, name: str) -> bool:
    url = unit.facts_of(read_text(manager.path(name)) or "").get("URL", "")
    key = (read_text(launch.key_path(tree, name)) or "").partition("\n")[0] or None
    return bool(url and proof.busy_slots(url, key))
