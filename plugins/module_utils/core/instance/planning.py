# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answering the question of an instance: a plan that fits into what is left of the host, or a refusal with a remedy."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from .. import command, sandbox
from ..build.builds import Build
from ..command import Result
from ..memory import answer, choose, onhost, shards
from ..memory.choose import Choice
from ..memory.plan import Extras, Model
from ..memory.table import Device
from ..sizes import human
from ..tree import Tree
from . import candidates, learned, measured, naming, planned, router, torchplan, transformers
from .definition import Instance
from .planned import DoesNotFit, Question
from .record import Record
from .room import HOST, Left, Room
from .served import Served
from .service import Manager

_GROUPED = ("row", "tensor")  # split modes that only the build can size
_SECONDS = 30  # workers on other hosts tell their memory in less than one
Stand = tuple[Mapping[str, Mapping[str, str]], bool]


class Plans:
    """The plans of the instances of one call."""

    def __init__(
        self,
        tree: Tree,
        manager: Manager,
        listed: Sequence[str],
        facts: Callable[[], Mapping[str, Any]],
        root: str = "/",
        running: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """
        :param listed: all instances of the call, also those that stop. :param running: see `Room`.
        :param facts: reads the devices of the host, as `gpu.read` does.
        :param root: the folder that holds `proc` and `sys`.
        """
        self._tree = tree
        self._room = Room(manager, listed, facts, root, running)
        self._questions: dict[str, Question] = {}
        self._records: dict[str, Record] = {}
        self.warnings: dict[str, list[str]] = {}

    def ask(self, instance: Instance, build: Build, files: Sequence[Served], stands: Sequence[Stand]) -> None:
        """Take up the questions of an instance; a plan that answers one stands.

        :param files: as `launch.Parts` has them.
        :param stands: what units or presets say by name, and whether they are alive; the first that answers counts.
        """
        if instance.kind == "router":
            self._room.limit(instance.name, router.most(instance, build))
        for (name, part), served in zip(planned.parts(instance), files):
            subject = torchplan if part.kind == transformers.KIND else planned
            question = subject.ask(part, build, served, self._room)
            self._questions[part.name] = question
            found = (planned.standing(question, said.get(name, {}), alive) for said, alive in stands)
            record = next((one for one in found if one is not None), None)
            if record is not None:
                self._keep(part, record)

    def records(self, instance: Instance) -> dict[str, Record]:
        """The plan of an instance by its name, or those of a router's models; each is made now if none stands."""
        return {name: self._record(part.name) for name, part in planned.parts(instance)}

    def _record(self, name: str) -> Record:
        if name not in self._records:
            question = self._questions[name]
            self._keep(question.instance, self._made(question))
        return self._records[name]

    def beside(self, name: str, before: Record | None) -> tuple[bool, str]:
        """Whether two servers of an instance have room at once, the old and the new or the new one twice, and why.

        :param before: the plan of the server that runs. Call it when all plans are known.
        """
        record, question = self._records.get(name), self._questions.get(name)
        if (
            record is None
            or question is None
            or before is None
            or planned.UNSIZED in (record.confidence, before.confidence)
        ):
            return False, "what its servers take is not planned"
        rows = {row["id"]: row for row in (*before.devices, *record.devices)}
        known = {item["id"]: item for item in self._room.devices(str(question.build.manifest["recipe"]["backend"]))}
        if not set(rows) <= set(known):
            return False, f"{', '.join(sorted(set(rows) - set(known)))} can hold one server only, or was not found"
        left = self._room.left([known[device] for device in rows])
        needs = {
            device: max(before.on(device), record.on(device)) + int(row["components"].get("headroom", 0))
            for device, row in rows.items()
        }
        needs[HOST] = max(before.needed, record.needed)
        short = [device for device, size in needs.items() if size > left.free[device]]
        worst = (short or [HOST])[0]
        said = f"{human(needs[worst])} more of {'the host' if worst == HOST else worst}"
        return not short, f"a second server takes {said}, where {human(left.free[worst])} are left"

    def _keep(self, instance: Instance, record: Record) -> None:
        self._records[instance.name] = record
        if instance.wanted:
            self._room.keep(instance.name, record)

    def _made(self, question: Question) -> Record:
        local = [item for item in question.devices if item["backend"] != candidates.RPC]
        driver = self._room.facts.get("driver") if local else None
        overheads = learned.recall(self._tree, local, driver, question.build.id)
        if question.instance.kind == transformers.KIND:
            devices = [{**item, "total": item["total"] or 0} for item in question.devices]
            return torchplan.record(question, self._room.left(devices, question.instance.name), overheads)
        record = plan(question, self._room, overheads, self._execute)
        said = self.warnings.setdefault(naming.instance_of(question.instance.name), [])
        if question.instance.rpc:
            said += alone(question, self._room, overheads)
        if question.instance.plan.exact:
            busy = self._room.known_totals() if question.instance.rpc else {}
            said += measured.differences(question, record, self._execute, busy)
        return record

    def _execute(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Result:
        """Run a program of a build without rights."""
        wrapped = sandbox.wrap(self._tree, argv, unit=f"llama-plan-{os.getpid()}", seconds=_SECONDS, env=env)
        return command.run(wrapped, check=False, timeout=_SECONDS + 10)


def plan(
    question: Question,
    room: Room,
    overheads: Mapping[str, int],
    execute: Callable[[Sequence[str]], Result],
) -> Record:
    """A new plan. It counts what is planned for others; what is stopped in the same call is free.

    :param overheads: bytes of the driver's own by device id, as learned.
    :param execute: runs a command without rights.
    :raises DoesNotFit: names the bytes, the limit and the cheapest change that fits; never with `plan.force`, nor for
        an instance that is not to run.
    :raises InvalidInput: llama.cpp would refuse the launch.
    """
    server = question.build.tool("llama-server")
    remote = any(item["backend"] == candidates.RPC for item in question.devices)
    totals = room.known_totals() if remote else {}
    described = [{**item, "total": item["total"] or totals.get(item["id"], 0)} for item in question.devices]
    devices = candidates.with_workers(described, server, execute)
    left = room.left(devices, question.instance.name)
    if question.instance.split_mode in _GROUPED:
        return planned.unsized(question, devices)
    task = _Task(question, devices, left, overheads)
    found = task.choose(question.allow)
    short = task.short(found)
    if short and question.instance.wanted and not question.instance.plan.force:
        raise _refusal(task, found, short)
    return task.record(found, forced=bool(short))


def alone(question: Question, room: Room, overheads: Mapping[str, int]) -> list[str]:
    """A warning where the head has room for the whole model: workers make every token slower."""
    local = [item for item in question.devices if item["backend"] != candidates.RPC]
    if question.instance.split_mode in _GROUPED:
        return []
    options = {key: value for key, value in question.options.items() if key != "tensor_split"}
    asked = replace(question, options=options, devices=tuple(local), exactly=0)
    task = _Task(asked, local, room.left(local), overheads)
    found = task.choose(question.allow)
    if task.short(found):
        return []
    where = f"the devices {', '.join(item['id'] for item in local)}" if local else "the memory"
    return [
        f"Instance {question.instance.name!r} fits {where} of its own host: every token travels over the network to "
        f"its {len(question.instance.rpc)} workers for nothing. Remove rpc, unless their speed is worth that."
    ]


class _Task:
    """A question with its headers read, on a host with so much left."""

    def __init__(
        self, question: Question, devices: Sequence[Mapping[str, Any]], left: Left, overheads: Mapping[str, int]
    ) -> None:
        self.question, self.described, self.left = question, devices, left
        files = question.files
        self.model = Model(shards.read(files.model.path))
        draft = shards.read(files.draft) if files.draft else None
        mmproj, adapters = question.beside
        options = dict(question.options)
        if question.instance.ctx_size is None:
            options["ctx_size"] = planned.default_context(self.model.hparams.context)
        self.options = options
        self.launch = answer.launch(self.model, options, draft is not None, [item["backend"] for item in devices])
        self.extras: Extras = replace(answer.extras(options, mmproj, draft), learned=dict(overheads))
        self.devices = [
            Device(item["id"], item["backend"], item["total"], left.free[item["id"]], str(item.get("name") or ""))
            for item in devices
        ]
        # a projector without a device, and adapters, lie on the host; adapters beside layers are small
        self.beside = adapters + (0 if devices else mmproj * 3 // 2)

    @property
    def host_limit(self) -> int:
        return self.left.free[HOST] - self.beside

    def choose(self, allow: Sequence[str]) -> Choice:
        """The flags when these rungs may be used."""
        wish = answer.wish(self.options, allow, self.question.instance.plan.ctx_floor)
        wish = replace(wish, devices=self.question.exactly or wish.devices)
        if not self.devices:
            return onhost.choose(self.model, self.launch, self.host_limit, wish, self.extras)
        return choose.choose(self.model, self.launch, self.devices, wish, self.extras)

    def short(self, found: Choice) -> dict[str, tuple[int, int]]:
        """Where it does not fit: device id, or host -> bytes needed, bytes left."""
        lacks = {row.device.id: (row.sum, row.device.capacity) for row in found.table.rows if row.left < 0}
        host = onhost.needed(found.table.host) + self.beside
        if host > self.left.free[HOST]:
            lacks[HOST] = (host, self.left.free[HOST])
        return lacks

    def record(self, found: Choice, forced: bool) -> Record:
        """The plan as it stands in the unit."""
        cells = found.table.host
        endless = self.extras.cache_ram is None or found.table.confidence == "low"
        ceiling = onhost.ceiling(cells, len(found.devices)) + 2 * self.beside
        described = {item["id"]: item for item in self.described}
        used = [described[device.id] for device in found.devices]
        rows = tuple(
            {
                "id": device["id"],
                "name": device.get("name") or "",
                "vendor": device.get("vendor") or "",
                "backend": device["backend"],
                "total": device["total"],
                "components": {name: cell.bytes for name, cell in row.components.items()},
                **names,
            }
            for device, row, names in zip(used, found.table.rows, candidates.ordered(used))
        )
        options = {key: value for key, value in answer.flags(found).items() if key not in ("device", "n_outputs_max")}
        host = {
            "components": {name: cell.bytes for name, cell in cells.items()},
            "needed": onhost.needed(cells) + self.beside,
            "ceiling": None if endless else ceiling,
        }
        whole = bool(rows) and found.launch.n_cpu_moe == 0
        whole = whole and found.launch.gpu_layers > len(self.model.hparams.layers)
        confidence = found.table.confidence
        return Record(self.question.inputs, options, rows, host, found.rung, confidence, whole, forced)


def _refusal(task: _Task, found: Choice, short: Mapping[str, tuple[int, int]]) -> DoesNotFit:
    name, parts = task.question.instance.name, []
    for device, (needs, limit) in short.items():
        where = "the host" if device == HOST else device
        taken = task.left.taken.get(device, "")
        parts.append(f"{human(needs)} of {where}, where {human(limit)} are left" + (f" ({taken})" if taken else ""))
    return DoesNotFit(
        f"Instance {name!r} does not fit: it needs {' and '.join(parts)}.",
        f"{_cheapest(task)} Or launch it in any case: plan: {{force: true}}.",
        instance=name,
        short={device: {"needed": needs, "left": limit} for device, (needs, limit) in short.items()},
        reasons=list(found.reasons),
    )


def _cheapest(task: _Task) -> str:
    """The change that gives up least and fits, in one sentence: one more rung, or all of them."""
    allowed = task.question.allow
    further = [rung for rung in choose.RUNGS[2:] if rung not in allowed]
    for more in [[rung] for rung in further] + ([further] if len(further) > 1 else []):
        found = task.choose([*allowed, *more])
        if not task.short(found):
            rungs = ", ".join([*allowed, *more])
            change = found.reasons[-1].rstrip(".")
            return f"Cheapest change that fits: {change}; allow it by plan: {{allow: [{rungs}]}}."
    return "No change of its flags makes it fit: use a smaller model or quantisation, or stop another instance."
