# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server that a change starts beside the one that runs: a unit of its own, removed when the change is over."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import replace

from .. import files
from ..tree import Tree
from . import launch, naming
from .change import Step
from .record import Record
from .service import Manager, Status


def step(tree: Tree, manager: Manager, of: Step) -> Step:
    """What starts the wanted server of an instance under the temporary name, on a free port of this host."""
    instance = replace(
        of.instance,
        name=naming.successor(of.name),
        alias=of.instance.alias or (of.name,),  # clients see no difference
        port=_free_port(),
        front=None,
    )
    record = Record.of(of.launch.facts) if of.launch else None
    plans = {instance.name: record} if record else {}
    wanted = launch.resolve(tree, manager, instance, launch.look(tree, manager, of.instance), plans)
    return Step(
        instance,
        ("write", "start"),
        Status(False),
        after=manager.render(wanted),
        launch=wanted,
        keys_after=of.keys_after,
        beside=manager.beside(wanted),
    )


def unit_text(manager: Manager, name: str) -> str | None:
    """The unit of the server beside an instance; None where there is none."""
    return files.read_text(manager.path(naming.successor(name)))


def remove(tree: Tree, manager: Manager, name: str) -> None:
    """Stop and remove the server beside an instance, with all that belongs to it."""
    beside = naming.successor(name)
    manager.remove(beside)
    files.remove_file(launch.key_path(tree, beside))
    files.remove_file(os.path.join(launch.folder(tree, beside), "instance.json"))
    with contextlib.suppress(OSError):
        os.rmdir(launch.folder(tree, beside))


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
