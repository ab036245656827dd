# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The llama.cpp processes of a host: which are ours, and to whom the others belong."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..files import read_text
from ..host import belonging, process
from ..host.belonging import Belonging
from ..host.process import ServerProcess
from ..tree import Tree
from . import unit
from .service import Manager

# the words for whose a process is
INSTANCE, ADOPTED, EXTERNAL, FOREIGN = "instance", "adopted", "external", "foreign"
SERVERS = ("llama-server", "llama")
_OUR_NAME = re.compile(rf"{unit.PREFIX}(?P<name>.+)\.(?P<kind>service|scope)")


@dataclass(frozen=True)
class Found:
    """A process and whose it is.

    :param belongs: `instance` (of ours), `adopted`, `external` (another service or a container has it) or `foreign`.
    :param instance: the name of the instance, where it is one of ours.
    """

    process: ServerProcess
    around: Belonging
    belongs: str
    instance: str | None = None

    @property
    def serves(self) -> bool:
        """True for a llama-server; not for a benchmark or a worker."""
        argv = self.process.argv
        return self.process.tool == SERVERS[0] or (self.process.tool == SERVERS[1] and "serve" in argv[1:2])

    def document(self) -> dict[str, Any]:
        """What may be shown of it: no arguments, which may hold secrets."""
        return {
            "pid": self.process.pid,
            "tool": self.process.tool,
            "exe": self.process.exe,
            "user": self.around.user,
            "belongs": self.belongs,
            "instance": self.instance,
            "unit": self.process.unit,
            "container": self.around.container,
            "terminal": self.around.terminal,
        }


def survey(tree: Tree, manager: Manager) -> list[Found]:
    """Every llama.cpp program that runs, by ascending pid."""
    mains = {status.pid: name for name in manager.managed() if (status := manager.status(name)).pid}
    return [found for item in process.find_servers() if (found := look(tree, manager, item, mains))]


def look(tree: Tree, manager: Manager, item: ServerProcess, mains: Mapping[int, str]) -> Found | None:
    """Whose a process is; None when it has ended.

    :param mains: the instances by main process, for managers that give them no unit of their own.
    """
    around = belonging.of(item.pid)
    if around is None:
        return None
    name = mains.get(item.pid) or mains.get(around.parent)
    ours = _OUR_NAME.fullmatch(item.unit or "")
    if ours and (name or _is_ours(tree, manager, ours["name"], item)):
        return Found(item, around, ADOPTED if ours["kind"] == "scope" else INSTANCE, ours["name"])
    if name:
        return Found(item, around, INSTANCE, name)
    if around.container or _other_service(item.unit):
        return Found(item, around, EXTERNAL)
    return Found(item, around, FOREIGN)


def _is_ours(tree: Tree, manager: Manager, name: str, item: ServerProcess) -> bool:
    """Is this the unit of an instance or a worker of ours? Its file may have been deleted while it serves."""
    text = read_text(os.path.join(os.path.dirname(manager.path(name)), f"{unit.PREFIX}{name}.service"))
    if text is not None:
        return bool(unit.facts_of(text))
    return (item.exe or "").startswith(tree.builds + os.sep)


def _other_service(name: str | None) -> bool:
    """Sessions and scopes only group what somebody started; a service has a manager that would start it again."""
    return bool(name and name.endswith(".service") and not name.startswith("user@"))


def without_process(known: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Of instances as `overview.look` shows them, those that are wanted and have no process."""
    return sorted(name for name, item in known.items() if item["enabled"] and not item["pid"])
