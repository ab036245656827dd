# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to change for the instances of a host to be what the inventory says; nothing is changed here."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import files
from ..errors import InvalidInput, Prerequisite
from ..host import gpu
from ..tree import Tree
from . import adoption, front, keyfile, launch, naming, planning, presets, previous, running, unit, written
from .definition import Instance
from .previous import Previous
from .processes import EXTERNAL, Found
from .service import Manager, Status
from .way import Way, choose


@dataclass(frozen=True)
class Step:
    """What is to be done for one instance, and why. Texts are None where there is no file.

    `beside` are the further files of the instance as they shall be, `beside_before` as they are, by path.
    `written` is when the unit file was written, in seconds since the epoch. `remains` says that something
    besides the unit is there. `keys_running` is what the process was started with, where that can be seen.
    `adoptee` is the process to be taken over, or left to the service that has it. `successor` says that a change that
    was cut off left a server beside it, `held` that its front holds requests back; `previous` is what such a change
    kept of what was proven before.
    """

    instance: Instance
    actions: tuple[str, ...]
    status: Status
    before: str | None = None
    after: str | None = None
    launch: unit.Launch | None = None
    keys_before: str | None = None
    keys_after: str | None = None
    presets_before: str | None = None
    restart_pending: bool = False
    warning: str = ""
    beside: Mapping[str, str] = field(default_factory=dict)
    beside_before: Mapping[str, str | None] = field(default_factory=dict)
    written: float = 0.0
    remains: bool = False
    keys_running: str | None = None
    adoptee: Found | None = None
    successor: bool = False
    held: bool = False
    previous: Previous | None = None
    way: Way | None = None

    @property
    def name(self) -> str:
        return self.instance.name

    @property
    def presets_after(self) -> str | None:
        """The presets file of a router."""
        return self.launch.presets if self.launch else None

    @property
    def external(self) -> bool:
        """True when another service or a container serves in its place and keeps doing so."""
        return self.adoptee is not None and self.adoptee.belongs == EXTERNAL

    @property
    def restores(self) -> bool:
        """True when files are written again for a process that already runs as they say."""
        return self.status.active and not self.status.adopted and not self.restart_pending and not self.stops

    @property
    def pid(self) -> int:
        """The process that serves before the step, whoever started it; 0 if none does."""
        return self.status.pid or (self.adoptee.process.pid if self.adoptee else 0)

    @property
    def stops(self) -> bool:
        return bool({"stop", "restart", "remove"} & set(self.actions))


def plan(
    tree: Tree,
    manager: Manager,
    instances: Sequence[Instance],
    keys: Mapping[str, str],
    preview: bool = False,
    facts: Callable[[], Mapping[str, Any]] = gpu.read,
    going: Sequence[Step] = (),
) -> list[Step]:
    """The difference between the inventory and the host; changes nothing.

    :param keys: values of API keys by name.
    :param preview: a missing build or model becomes a warning: an earlier step would make it.
    :param facts: reads the devices of the host, as `gpu.read` does; called when a build drives devices.
    :param going: steps that stop others in the same call: their ports and their memory are free.
    :raises InvalidInput: an instance cannot be served as asked, or a unit file is not ours.
    :raises DoesNotFit: an instance takes more memory than is left for it.
    :raises Busy: a port belongs to somebody else.
    """
    looked = [_look(tree, manager, instance, keys) for instance in instances]
    running = {step.name: step.pid for step in looked if step.pid}
    plans = planning.Plans(tree, manager, [step.name for step in (*going, *looked)], facts, running=running)
    launches = _launches(tree, manager, looked, preview, plans)
    steps = [_step(manager, step, launches.get(step.name), plans.warnings.get(step.name, ())) for step in looked]
    steps = [_with_way(step, plans) for step in steps]
    leaving = {step.status.pid for step in (*going, *steps) if step.stops and step.status.pid}
    for step in steps:
        if {"start", "restart"} & set(step.actions):
            front.require_port(step.instance, leaving | {step.status.pid})
    return steps


def orphans(manager: Manager, instances: Sequence[Instance]) -> list[str]:
    """Instances that have a unit of ours and are not in the list."""
    listed = {instance.name for instance in instances}
    return [name for name in manager.managed() if name not in listed]


def _look(tree: Tree, manager: Manager, instance: Instance, keys: Mapping[str, str]) -> Step:
    """A step that knows what is there, and which keys are wanted."""
    path = manager.path(instance.name)
    before = files.read_text(path)
    if before is not None and "Instance" not in unit.facts_of(before):
        raise InvalidInput(
            f"{path} exists and was not written by llamaops.llama_cpp; it is left alone.",
            "Give the instance another name, or remove that unit.",
        )
    if before is not None:
        written.check(tree, instance.name, path, before)
    status = manager.status(instance.name)  # a server may outlive its unit file
    adopts = instance.adopt and instance.wanted and not status.active
    adoptee = adoption.look(tree, manager, instance) if adopts else None
    keys_before = files.read_text(launch.key_path(tree, instance.name))
    remains = keys_before is not None or os.path.isdir(launch.folder(tree, instance.name))
    return Step(
        instance,
        (),
        status,
        before,
        keys_before=keys_before,
        keys_after=_keys_after(instance, keys, keys_before, adoptee),
        keys_running=keys_before or (keyfile.credential(instance.name, manager.hardening) if status.active else None),
        presets_before=files.read_text(presets.path(tree, instance.name)),
        written=running.written(path),
        remains=remains or status.active,
        adoptee=adoptee,
        successor=os.path.exists(manager.path(naming.successor(instance.name))),
        held=instance.wanted and front.gate(instance).held(),
        previous=previous.read(tree, instance.name),
    )


def _keys_after(instance: Instance, keys: Mapping[str, str], before: str | None, adoptee: Found | None) -> str | None:
    """The key file as it shall be. One that came from an adopted process stays until the inventory knows its keys."""
    if not instance.keys or instance.state == "absent" or (adoptee is not None and adoptee.belongs == EXTERNAL):
        return None
    if instance.adopt and not all(name in keys for name in instance.keys):
        found = adoption.key_text(instance, adoptee.process) if adoptee else before
        if found:
            return found
    return keyfile.key_text(instance, keys)


def _launches(
    tree: Tree, manager: Manager, steps: Sequence[Step], preview: bool, plans: planning.Plans
) -> dict[str, unit.Launch | Prerequisite]:
    """The launch of every instance, or what it lacks. Plans that stand come first, new ones get what they leave."""
    found: dict[str, unit.Launch | Prerequisite] = {}
    parts: dict[str, launch.Parts] = {}
    for step in steps:
        if step.instance.state == "absent" or step.external:
            continue
        try:
            parts[step.name] = launch.look(tree, manager, step.instance)
        except Prerequisite as exc:
            if not preview:
                raise
            found[step.name] = exc
    there = [step for step in steps if step.name in parts]
    for step in there:
        made = parts[step.name]
        plans.ask(step.instance, made.build, made.files, _stands(tree, step))
    for step in there:
        try:
            records = plans.records(step.instance)
        except Prerequisite as exc:  # a worker that is to be started before
            if not preview:
                raise
            found[step.name] = exc
            continue
        found[step.name] = launch.resolve(tree, manager, step.instance, parts[step.name], records)
    return found


def _stands(tree: Tree, step: Step) -> list[tuple[Mapping[str, Mapping[str, str]], bool]]:
    """What the files of an instance say of its plans, the newest first, and whether each is alive."""

    def said(text: str | None, presets_text: str | None) -> Mapping[str, Mapping[str, str]]:
        return presets.facts(presets_text) if step.instance.models else {step.name: unit.facts_of(text or "")}

    before = step.before or launch.remembered(tree, step.name)
    found = [(said(before, step.presets_before), step.status.active or step.status.enabled)]
    return found + ([(said(step.previous.unit, step.previous.presets), True)] if step.previous else [])


def _step(manager: Manager, step: Step, wanted: unit.Launch | Prerequisite | None, warnings: Sequence[str]) -> Step:
    if step.external and step.adoptee:
        return dataclasses.replace(step, warning=adoption.left_alone(step.instance, step.adoptee))
    if isinstance(wanted, Prerequisite):
        return _with(dataclasses.replace(step, warning=str(wanted)), ("write", "start"))
    if wanted is None:
        return _with(step, ("remove",) if step.before is not None or step.remains or step.successor else ())
    beside = manager.beside(wanted)
    beside_before = {name: files.read_text(name) for name in beside}
    step = dataclasses.replace(step, beside=beside, beside_before=beside_before)
    said = adoption.warning(step.instance, step.adoptee) if step.adoptee else ""
    step = dataclasses.replace(step, warning=" ".join([*warnings, *([said] if said else [])]))
    return decide(dataclasses.replace(step, after=manager.render(wanted), launch=wanted))


def decide(step: Step) -> Step:
    """Fill in the actions of a step whose texts and state are known."""
    instance, active = step.instance, step.status.active
    actions = ["write"] if (step.before, step.beside_before) != (step.after, step.beside) else []
    actions += ["keys"] if step.keys_before != step.keys_after else []
    actions += ["presets"] if step.presets_before != step.presets_after else []
    if not instance.wanted:
        actions += ["stop"] if active or step.successor or step.previous else []
        actions += ["disable"] if step.status.enabled and "write" not in actions else []
        return _with(step, actions)
    if step.adoptee is not None:
        return _with(step, [*actions, "adopt"], pending=True)
    due = _due(step)
    if not active:
        actions.append("start")
    elif due and (instance.restart != "never" or instance.state == "restarted"):
        actions.append("restart")
    elif not step.status.enabled:
        actions.append("enable")
    if active and "restart" not in actions and (step.held or step.successor or step.previous):
        actions.append("admit")
    newer = step.before not in (None, step.after) or running.older(step.status, step.written) or step.status.adopted
    pending = active and "restart" not in actions and (due or newer)
    return _with(step, actions, pending)


def _due(step: Step) -> bool:
    """Must it be started anew? A process that was taken over as it is waits until that is asked for."""
    if step.instance.state == "restarted":
        return True
    if step.status.adopted and step.instance.adopt:
        return False
    return _essential_change(step) or (step.instance.restart == "always" and step.before != step.after)


def _with_way(step: Step, plans: planning.Plans) -> Step:
    replaced = "restart" in step.actions
    return dataclasses.replace(step, way=choose(step.instance, step.before, plans)) if replaced else step


def _essential_change(step: Step) -> bool:
    """True when what runs is not what is wanted: command, environment, build, model or keys."""
    if (step.keys_running or step.keys_before) != step.keys_after or step.after is None:
        return True
    if step.before is None:  # a unit file that was deleted is the same again when the process does what it says
        return step.launch is None or not running.matches(step.status, step.launch)
    if unit.identity(step.before) != unit.identity(step.after):
        return True
    return step.status.active and step.launch is not None and not running.matches(step.status, step.launch)


def _with(step: Step, actions: Sequence[str], pending: bool = False) -> Step:
    return dataclasses.replace(step, actions=tuple(actions), restart_pending=pending)
