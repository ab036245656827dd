# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests of an instance while its server is replaced: kept waiting, answered to their end, and let go on."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable

from ..tree import Tree
from . import front, probe, proof, successor, unit
from .change import Step
from .definition import Instance
from .service import Manager


def hold(manager: Manager, step: Step) -> int:
    """Send the server that runs no more requests, and wait for those it works on; how many it does not end in time.

    Where a server beside it serves, requests go there; else they wait.
    """
    gate = front.gate(step.instance)
    if successor.unit_text(manager, step.name) is None:
        gate.hold()
    else:
        gate.retire(front.MAIN)
    return drain(url_of(step.before, step), first_key(step.keys_before), step.instance.drain_timeout, gate.busy)


def drain(url: str, key: str | None, seconds: float, in_front: Callable[[], int] = lambda: 0) -> int:
    """Wait until no request is worked on; how many are left after so many seconds.

    :param in_front: how many requests the front has with this server.
    """
    deadline, pause = time.monotonic() + seconds, 0.05
    while True:
        busy = max(in_front(), proof.busy_slots(url, key))
        if not busy or time.monotonic() >= deadline:
            return busy
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def hand_over(step: Step, beside: Step) -> None:
    """Requests go to the server beside the one that runs, and no more to that one."""
    gate = front.gate(step.instance)
    slots = slots_of(beside.instance.url, first_key(beside.keys_after), beside)
    gate.admit(slots, front.NEXT, beside.instance.port)
    gate.retire(front.MAIN)


def settle(tree: Tree, manager: Manager, step: Step, url: str, key: str | None) -> int:
    """Requests go to the server of the unit, which is ready at `url`; what a change started beside it is removed.

    How many answers the one beside it did not end in time.
    """
    gate = front.gate(step.instance)
    gate.admit(slots_of(url, key, step), front.MAIN, urllib.parse.urlsplit(url).port)
    text = successor.unit_text(manager, step.name)
    if text is None:
        return 0
    gate.retire(front.NEXT)
    beside, cut = unit.facts_of(text).get("URL"), 0
    if beside:
        cut = drain(beside, key, step.instance.drain_timeout, lambda: gate.busy(front.NEXT))
    successor.remove(tree, manager, step.name)
    return cut


def tidy(tree: Tree, manager: Manager, step: Step) -> int:
    """End a change that was cut off while two servers ran, if the one of the unit is ready; else the other stays.

    How many answers that breaks off.
    """
    if step.successor and step.status.active and step.instance.wanted and step.before:
        url = url_of(step.before, step)
        if probe.health(url) == probe.READY:
            return settle(tree, manager, step, url, first_key(step.keys_before))
    return 0


def broken_off(instance: Instance, cut: int) -> str:
    """A sentence on answers that a change did not wait for, with a space behind it; nothing if there were none."""
    if not cut:
        return ""
    return f"{cut} of its answers took longer than drain_timeout ({instance.drain_timeout} s) and broke off. "


def slots_of(url: str, key: str | None, step: Step) -> int:
    """How many requests a server answers at a time: as it says itself, else as it was planned."""
    try:
        answer = probe.request(url, "/props", key=key, timeout=5.0)[1]
        told = answer.get("total_slots") if isinstance(answer, dict) else None
    except probe.ProbeError:
        told = None
    for found in (told, step.launch.instance.parallel if step.launch else None, step.instance.parallel):
        if isinstance(found, int) and found > 0:
            return found
    return 1


def url_of(text: str | None, step: Step) -> str:
    """Where the server of a unit answers; where the wanted one will, if the unit does not say."""
    return unit.facts_of(text or "").get("URL", step.instance.url)


def first_key(text: str | None) -> str | None:
    """The first key of a key file."""
    return (text or "").partition("\n")[0] or None
