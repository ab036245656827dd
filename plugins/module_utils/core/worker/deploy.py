# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to change for the workers of a host to be what the inventory says, and doing it.

A worker that changes loses what its head has put there: the head ends with the next request, and starts again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import Busy, LlamaOpsError, NotProven, Prerequisite
from ..files import read_text
from ..host import gpu, ports
from ..instance import logreason, overview, probe, unit
from ..instance.room import Room
from ..instance.service import Manager, Status
from ..instance.systemd import Systemd
from ..tree import Tree
from . import fence, known, launch
from .definition import Worker


@dataclass(frozen=True)
class Step:
    """What is to be done for one worker. Texts are None where there is no file; `beside` are further files by path."""

    worker: Worker
    actions: tuple[str, ...] = ()
    status: Status = Status(False)
    before: str | None = None
    after: str | None = None
    beside: Mapping[str, str] = field(default_factory=dict)
    launch: unit.Launch | None = None
    warning: str = ""

    @property
    def service(self) -> str:
        """Its name for the service manager."""
        return known.MARK + self.worker.name


def plan(
    tree: Tree,
    manager: Systemd,
    workers: Sequence[Worker],
    preview: bool = False,
    facts: Callable[[], Mapping[str, Any]] = gpu.read,
) -> list[Step]:
    """The difference between the inventory and the host; changes nothing.

    :param preview: a missing build becomes a warning: an earlier step would make it.
    :raises InvalidInput: a worker cannot be served as asked. :raises Busy: a port belongs to somebody else.
    """
    room = Room(manager, [], facts)
    steps = []
    for worker in workers:
        step = Step(worker, before=read_text(manager.path(known.MARK + worker.name)))
        if step.before is not None:
            step = replace(step, status=manager.status(step.service))
        if worker.state == "absent":
            steps.append(replace(step, actions=("remove",) if step.before is not None else ()))
            continue
        try:
            made = launch.resolve(tree, worker, room, manager.folder)
        except Prerequisite as exc:
            if not preview:
                raise
            steps.append(replace(step, actions=("write", "start"), warning=str(exc)))
            continue
        beside = launch.beside(made, manager.folder, worker.cache_quota)
        step = decide(replace(step, after=manager.render(made), launch=made, beside=beside))
        _check_port(step)
        steps.append(step)
    return steps


def orphans(manager: Systemd, workers: Sequence[Worker]) -> list[str]:
    """Workers that have a unit of ours and are not in the list."""
    listed = {worker.name for worker in workers}
    return [name for name in known.standing(manager.folder) if name not in listed]


def decide(step: Step) -> Step:
    """Fill in the actions of a step whose texts and state are known."""
    beside = {path: read_text(path) for path in step.beside}
    actions = ["write"] if step.before != step.after or beside != dict(step.beside) else []
    warning = "" if step.worker.client else f"Worker {step.worker.name!r} stands still: no instance names it in rpc."
    active = step.status.active
    if not step.worker.wanted:
        actions += ["stop"] if active or step.status.waiting else []
        actions += ["disable"] if step.status.enabled and "write" not in actions else []
    elif not active:
        actions.append("start")
    elif _essence(step.before) != _essence(step.after):
        actions.append("restart")
    elif not step.status.enabled:
        actions.append("enable")
    return replace(step, actions=tuple(actions), warning=warning)


def apply(manager: Systemd, steps: Sequence[Step]) -> None:
    """Do what the steps say, stops first. A worker that does not come up gets the unit that it had before.

    :raises NotProven: a worker does not listen, or strangers reach it.
    """
    for step in steps:
        if "remove" in step.actions:
            manager.remove(step.service)
        if {"stop", "restart"} & set(step.actions):
            manager.stop(step.service)
    for step in steps:
        if "remove" in step.actions or not step.actions:
            continue
        if "write" in step.actions and step.after is not None:
            manager.install(step.service, step.after, step.beside)
        manager.enable(step.service, step.worker.wanted)
        if {"start", "restart"} & set(step.actions):
            _start(manager, step)


def _start(manager: Systemd, step: Step) -> None:
    mark = manager.mark(step.service)
    try:
        manager.start(step.service, launch.START_TIMEOUT)
        prove(manager, step.worker)
    except Exception as exc:  # whatever went wrong, what ran before must run again
        log = manager.log(step.service, mark)
        manager.stop(step.service)
        restored = bool(step.before and step.status.active)
        if restored:
            manager.install(step.service, str(step.before), {})
            manager.start(step.service, launch.START_TIMEOUT)
        problem = exc.problem if isinstance(exc, LlamaOpsError) else f"{type(exc).__name__}: {exc}"
        raise NotProven(
            f"Worker {step.worker.name!r} did not come up: {(logreason.find(log) or problem).rstrip('.')}.",
            "The unit that ran before runs again." if restored else "It is stopped.",
            worker=step.worker.name,
            log=log[-4000:],
        ) from exc


def prove(manager: Systemd, worker: Worker) -> None:
    """Its process listens on its address, and a stranger does not get through.

    :raises NotProven: says what is wrong.
    """
    status = manager.status(known.MARK + worker.name)
    holder = ports.holder(worker.address, worker.port)
    if not status.active or holder is None or holder.pid not in (None, status.pid):
        raise NotProven(f"it does not listen on {worker.endpoint}; the service manager says: {status.detail}")
    if not fence.stands(worker.address, worker.port):
        raise NotProven(
            f"everybody reaches it at {worker.endpoint}: the kernel does not enforce IPAddressDeny= of its unit",
            "Workers need a kernel with BPF programs for control groups, and the unified hierarchy.",
        )


def shown(manager: Systemd, step: Step) -> dict[str, Any]:
    """A worker as a result tells it."""
    facts = unit.facts_of(step.after or step.before or "")
    return {
        **described(manager, step.worker.name, facts),
        "changed": bool(step.actions),
        "actions": list(step.actions),
        "command": list(step.launch.command.argv) if step.launch else [],
    }


def standing(manager: Manager) -> dict[str, dict[str, Any]]:
    """Every worker of this host by name, as `described`; only systemd has some."""
    if not isinstance(manager, Systemd):
        return {}
    found = known.standing(manager.folder)
    return {name: described(manager, name, facts) for name, facts in found.items()}


def described(manager: Systemd, name: str, facts: Mapping[str, str]) -> dict[str, Any]:
    """A worker as its unit tells it. Nobody connects to it for this: it serves one client, and would keep a second."""
    status = manager.status(known.MARK + name)
    address, _colon, port = facts.get("Address", "").rpartition(":")
    holder = ports.holder(address, int(port)) if status.active and port.isdigit() else None
    listens = holder is not None and holder.pid in (None, status.pid)
    return {
        "state": overview.state(status, probe.READY if listens else probe.UNREACHABLE),
        "detail": status.detail,
        "enabled": status.enabled,
        "uptime": overview.uptime(status),
        "address": facts.get("Address", ""),
        "client": facts.get("Client", ""),
        "build_id": facts.get("Build", ""),
        "commit": facts.get("Commit", ""),
        "device": facts.get("Device", ""),
        "active": status.active,
        "pid": status.pid,
        "unit": manager.path(known.MARK + name),
    }


def _essence(text: str | None) -> tuple[str, ...]:
    """The lines whose change needs a restart: those of an instance, and who may reach it."""
    fenced = [line for line in (text or "").splitlines() if line.startswith("IPAddress")]
    return (*unit.identity(text or ""), *fenced)


def _check_port(step: Step) -> None:
    if not {"start", "restart"} & set(step.actions):
        return
    holder = ports.holder(step.worker.address, step.worker.port)
    if holder is not None and not (holder.pid and holder.pid == step.status.pid):
        raise Busy(
            f"Worker {step.worker.name!r} wants port {step.worker.port}, which {ports.describe(holder)} holds.",
            "Stop that process, or choose another port.",
        )
