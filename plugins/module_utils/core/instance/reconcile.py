# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan against reality: after a start, and for whoever asks later. What a driver took for itself is learned from it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import NotProven
from ..files import read_json, read_text, write_json
from ..host import process
from ..tree import Tree
from . import learned, loaded, presets, residency
from .launch import folder
from .record import Record
from .residency import Residency
from .service import Manager
from .unit import SCHEMA, Launch

Facts = Callable[[], Mapping[str, Any]]
_PATIENCE = 3.0  # seconds that a journal may need to show what a server has written


def after_start(
    tree: Tree, manager: Manager, launch: Launch, mark: str, facts: Facts, speed: float | None = None
) -> dict[str, Any]:
    """Prove where a server that has just started lies; returns `{residency, residency_reasons, actual}`.

    :param mark: the end of the log before the start.
    :param facts: reads the devices of the host, as `gpu.read` does; called when devices of this host are in use.
    :param speed: what it generated in its proof, in tokens a second; noted for whoever asks later.
    :raises NotProven: see `insist`.
    """
    name = launch.instance.name
    if launch.presets is not None:
        return _after_load(tree, manager, launch, mark, facts, speed)
    record = Record.of(launch.facts)
    if record is None:
        return {}
    pid = manager.status(name).pid
    read = facts() if record.local else {}
    found = _judge(manager, name, mark, record, processes(read), pid)
    learned.remember(tree, record.local, read.get("driver"), launch.facts["Build"], residency.overheads(found))
    report = loaded.report(found, pid)
    _write(tree, name, {"pid": pid, "started": process.start_time(pid), "speed": speed, **report})
    insist(launch, report, lambda: manager.log(name, mark))
    return report


def _after_load(
    tree: Tree, manager: Manager, launch: Launch, mark: str, facts: Facts, speed: float | None
) -> dict[str, Any]:
    """The same for the models of a router that are loaded, each with a plan of its own."""
    name, plans = launch.instance.name, presets.plans(launch.presets)
    pid = manager.status(name).pid
    read = facts() if launch.devices else {}
    kept, deadline = _kept(tree, name).get("models") or {}, time.monotonic() + _PATIENCE
    while True:
        found = loaded.judge(plans, manager.log(name, mark).splitlines(), kept, processes(read), pid)
        if all(item["residency"] != residency.UNKNOWN for item in found.values()) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    report = loaded.whole(found, pid)
    _write(tree, name, {"pid": pid, "started": process.start_time(pid), "speed": speed, **report})
    insist(launch, report, lambda: manager.log(name, mark))
    return report


def insist(launch: Launch | None, report: Mapping[str, Any], log: Callable[[], str] = str) -> None:
    """Refuse a server that lies elsewhere than planned.

    :param report: what `after_start` and `standing` return. :param log: what it wrote.
    :raises NotProven: says where, unless `plan.allow_mismatch` allows it.
    """
    wrong = loaded.elsewhere(launch.instance, report) if launch else []
    if not wrong:
        return
    raise NotProven(
        f"it lies elsewhere than planned: {' '.join(wrong)} "
        "Look for options that move tensors, or allow it by plan: {allow_mismatch: true}",
        log=log()[-4000:],
    )


def standing(tree: Tree, manager: Manager, name: str, record: Record | None, pid: int) -> dict[str, Any]:
    """What is known of a server that runs: as proven at its start, or read from its log if it was started since."""
    text = read_text(presets.path(tree, name))
    if text is not None and pid:
        kept = _kept(tree, name).get("models") or {}
        return loaded.whole(loaded.judge(presets.plans(text), manager.log(name).splitlines(), kept, {}, pid), pid)
    if record is None or not pid:
        return loaded.report(Residency(residency.UNKNOWN), pid)
    kept = _kept(tree, name)
    if kept.get("pid") == pid and kept.get("started") == process.start_time(pid):
        return {**loaded.report(Residency(residency.UNKNOWN), pid), **{key: kept[key] for key in _KEYS if key in kept}}
    found = residency.judge(record.document(), manager.log(name).splitlines())
    return loaded.report(found, pid)


_KEYS = ("residency", "residency_reasons", "actual")


def _judge(
    manager: Manager,
    name: str,
    mark: str,
    record: Record,
    driver: Mapping[str, Mapping[int, int | None]],
    pid: int,
) -> Residency:
    deadline = time.monotonic() + _PATIENCE
    while True:
        found = residency.judge(record.document(), manager.log(name, mark).splitlines(), driver, pid)
        if found.verdict != residency.UNKNOWN or found.actual or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def processes(facts: Mapping[str, Any]) -> dict[str, dict[int, int | None]]:
    """By device id, bytes by process; devices whose driver does not tell are left out."""
    found = {}
    for device in facts.get("devices", ()):
        for part in [device, *(device.get("mig_devices") or ())]:
            if part.get("processes") is not None:
                found[str(part["id"])] = {item["pid"]: item.get("used") for item in part["processes"]}
    return found


def _path(tree: Tree, name: str) -> str:
    return os.path.join(folder(tree, name), "instance.json")


def start_of(tree: Tree, name: str) -> dict[str, Any]:
    """The part of instance.json that is noted here."""
    kept = _kept(tree, name)
    return {"start": kept} if kept else {}


def remember(tree: Tree, manager: Manager, launch: Launch | None) -> None:
    """Write instance.json: the same facts as the unit, for people and programs; it can be deleted any time."""
    if launch is None:
        return
    name = launch.instance.name
    os.makedirs(folder(tree, name), exist_ok=True)
    document = {
        **start_of(tree, name),
        "schema": SCHEMA,
        "unit": manager.path(name),
        "manager": manager.kind,
        "facts": dict(launch.facts),
        "command": list(launch.command.argv),
        "environment": dict(launch.command.env),
        "command_line": launch.command.line,
    }
    write_json(_path(tree, name), document)


def _kept(tree: Tree, name: str) -> dict[str, Any]:
    document = read_json(_path(tree, name))
    started = document.get("start") if isinstance(document, dict) else None
    return started if isinstance(started, dict) else {}


def _write(tree: Tree, name: str, start: Mapping[str, Any]) -> None:
    """Note the start in instance.json, which can be deleted at any time."""
    document = read_json(_path(tree, name))
    os.makedirs(folder(tree, name), exist_ok=True)
    write_json(_path(tree, name), {**(document if isinstance(document, dict) else {}), "start": dict(start)})
