# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adoption: a llama-server that somebody started becomes an instance without being restarted.

It is found by the port that the instance shall have. Nothing is sent to it that it may not know: no key of ours.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from ..errors import Busy, InvalidInput, NotProven
from ..host import belonging, ports, process
from ..host.process import ServerProcess
from ..sizes import human
from ..tree import Tree
from . import keyfile, probe, processes
from .definition import Instance
from .processes import EXTERNAL, FOREIGN, Found
from .service import Manager
from .values import FORCE

_PATIENCE = 10.0  # seconds that a service manager may take to move a process


def look(tree: Tree, manager: Manager, instance: Instance) -> Found | None:
    """The llama-server that listens where the instance shall; None when nobody does, or it is this instance already.

    :raises Busy: something else listens there.
    :raises InvalidInput: it may not be taken over, or not without `adopt: force`.
    """
    if instance.socket:
        raise InvalidInput(f"{_who(instance)}: a server on a socket cannot be adopted.", "Stop it and leave adopt out.")
    holder = ports.holder(instance.host, instance.port)
    if holder is None:
        return None
    item = process.look(holder.pid) if holder.pid else None
    found = processes.look(tree, manager, item, {}) if item else None
    if found is None or not found.serves or not _answers(instance, found.process):
        raise Busy(
            f"{_who(instance)} shall adopt the server on port {instance.port}, which {ports.describe(holder)} holds: "
            "that is no llama-server, or it does not answer as one.",
            "Choose another port, or leave adopt out and stop that process.",
        )
    if found.instance == instance.name:  # it starts at this moment, or another run has adopted it
        return None
    if found.belongs == EXTERNAL and instance.state != "restarted":
        return found
    if found.belongs != FOREIGN:
        raise InvalidInput(
            f"{_who(instance)} cannot adopt process {found.process.pid}: {_keeper(found)} has it.",
            f"Restart or stop it there ({found.process.unit or found.around.container}).",
        )
    _check(manager, instance, found)
    return found


def _check(manager: Manager, instance: Instance, found: Found) -> None:
    """Refuse what would end badly, or what needs one more word."""
    pid, around = found.process.pid, found.around
    if manager.kind != "systemd":
        manager.adopt(instance.name, [pid], None)  # says why it cannot
    if around.uid != os.geteuid() and os.geteuid() != 0:
        raise InvalidInput(
            f"{_who(instance)} cannot adopt process {pid}, which runs as {around.user}.",
            "Only root can take over processes of others: use the system scope.",
        )
    reasons = []
    if around.terminal:
        reasons.append(f"it belongs to the terminal {around.terminal} and ends when that is closed")
    if around.uid != os.geteuid():
        reasons.append(f"it runs as {around.user}, who decides what that program does and sees its requests")
    if reasons and instance.adopt != FORCE:
        raise InvalidInput(
            f"{_who(instance)}: process {pid} is not adopted, for {' and '.join(reasons)}.",
            "Stop it and leave adopt out, or take it as it is with adopt: force.",
        )


def _answers(instance: Instance, item: ServerProcess) -> bool:
    """Does it answer as a llama-server does? It gets no key but its own."""
    key = next(iter(_keys(item)), None)
    try:
        status, said = probe.request(instance.url, "/health")
        if status == 503:  # it loads its model
            return isinstance(said, dict) and "error" in said
        _status, listed = probe.request(instance.url, "/v1/models", key=key)
        owners = [entry["owned_by"] for entry in listed["data"]]
    except (probe.ProbeError, KeyError, TypeError):
        return False
    return status == 200 and "llamacpp" in owners


def key_text(instance: Instance, item: ServerProcess) -> str | None:
    """The key file with the keys that a process has; None when it has none."""
    return keyfile.text_of(instance, _keys(item))


def _keys(item: ServerProcess) -> list[str]:
    around, folder = belonging.of(item.pid), process.working_folder(item.pid)
    if around is None or folder is None:
        return []
    return keyfile.of_process(item.argv, process.environment(item.pid), folder, around.uid)


def take(manager: Manager, instance: Instance, found: Found, memory_max: int | None) -> dict[str, Any]:
    """Put a process under the manager; returns `{pid, uncounted}`, the bytes it held before its limit applied.

    :raises NotProven: it ended, or did not move; it is left as it is.
    """
    pid = found.process.pid
    if process.start_time(pid) != found.process.start_time:
        raise NotProven(f"{_who(instance)}: process {pid} ended before it could be adopted.", "Run this again.")
    uncounted = process.resident(pid, "RssAnon")
    manager.adopt(instance.name, belonging.descendants(pid), memory_max)
    deadline = time.monotonic() + _PATIENCE
    while manager.status(instance.name).pid != pid:
        if time.monotonic() > deadline:
            raise NotProven(
                f"{_who(instance)}: process {pid} was not moved under {manager.kind}; it runs as before.",
                f"Its unit is {process.unit_of(pid) or 'none'}.",
            )
        time.sleep(0.1)
    if process.start_time(pid) != found.process.start_time or probe.health(instance.url) == probe.UNREACHABLE:
        raise NotProven(f"{_who(instance)}: process {pid} ended while it was adopted.", "Run this again.")
    return {"pid": pid, "uncounted": uncounted}


def warning(instance: Instance, found: Found) -> str:
    """What a person should know of a process that is adopted."""
    held = human(process.resident(found.process.pid, "RssAnon"))
    parts = [
        f"{_who(instance)} adopts process {found.process.pid} as it runs, as {found.around.user} and without the "
        f"protection of a unit; the next restart makes it one. {held} that it holds "
        "already do not count against its limit."
    ]
    if any(word in ("--api-key",) for word in found.process.argv):
        parts.append("Its API key stands in its command line, where every user of the host can read it: change it.")
    if found.around.terminal:
        parts.append(f"It ends when the terminal {found.around.terminal} is closed; its unit is started then.")
    return " ".join(parts)


def left_alone(instance: Instance, found: Found) -> str:
    """What a person should know of a process that is not."""
    return (
        f"{_who(instance)} is served by process {found.process.pid} of {_keeper(found)}, which keeps it: external. "
        "To take it over, stop and disable that one; then the instance is started in its place."
    )


def shown(found: Found, done: Mapping[str, Any]) -> dict[str, Any]:
    """The adoption of an instance for a result."""
    about = found.document()
    kept = ("pid", "exe", "user", "unit", "container", "terminal")
    return {**{key: about[key] for key in kept}, "external": found.belongs == EXTERNAL, **done}


def _keeper(found: Found) -> str:
    if found.instance:
        return f"the instance {found.instance!r}"
    return f"the container {found.around.container}" if found.around.container else str(found.process.unit)


def _who(instance: Instance) -> str:
    return f"Instance {instance.name!r}"
