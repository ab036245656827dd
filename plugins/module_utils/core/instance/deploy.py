# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applying changes to instances: stop, write, start, prove; restore what ran when the proof fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from .. import files
from ..errors import LlamaOpsError, NotProven, joined
from ..host import gpu, ports
from ..tree import Tree
from . import (
    adoption,
    ambient,
    front,
    launch,
    logreason,
    presets,
    previous,
    probe,
    proof,
    reconcile,
    router,
    startfiles,
    successor,
    swap,
)
from .change import Step
from .previous import Previous
from .record import Record
from .service import Manager
from .way import BESIDE


def apply(
    tree: Tree, manager: Manager, steps: Sequence[Step], facts: reconcile.Facts = gpu.read
) -> dict[str, dict[str, Any]]:
    """Do what the steps say: stops first, then each start with its proof. Returns the proofs by name.

    A server that is replaced beside the one that runs, or only restarts, takes its turn alone, when the one before has
    proven itself; after a failure none of these is touched. What was stopped to be replaced is started in any case.

    :param facts: reads the devices of the host, as `gpu.read` does.
    :raises NotProven: an instance did not answer, or lies elsewhere than planned; the unit that ran before runs again.
    """
    proofs: dict[str, dict[str, Any]] = {step.name: {} for step in steps}
    failed: dict[str, LlamaOpsError] = {}

    def attempt(step: Step, part: Callable[[], dict[str, Any]]) -> None:
        if step.name in failed or (failed and _alone(step)):
            return
        try:
            proofs[step.name] = part()
        except LlamaOpsError as exc:
            failed[step.name] = exc

    for step in steps:
        attempt(step, partial(_make_way, tree, manager, step))
    for step in steps:
        attempt(step, partial(_take_turn, tree, manager, step, facts, proofs[step.name]))
    if failed:
        raise joined(list(failed.values()))
    return proofs


def _together(first: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
    """What two parts of a step did; `cut` is how many answers they broke off."""
    return {**first, **then, "cut": first.get("cut", 0) + then.get("cut", 0)}


def _alone(step: Step) -> bool:
    """Does a step take nothing that another one has to give up first? Then all others serve meanwhile."""
    restarts = "restart" in step.actions and set(step.actions) <= {"restart", "keys"}
    return _beside(step) or restarts


def _beside(step: Step) -> bool:
    return step.way is not None and step.way.kind == BESIDE


def _make_way(tree: Tree, manager: Manager, step: Step) -> dict[str, Any]:
    """What comes before any start: what a change that was cut off left is ended, and what others need is given up."""
    tidied = {"cut": swap.tidy(tree, manager, step)}
    if _alone(step):
        return tidied
    _write(tree, step)
    return _together(tidied, _retire(tree, manager, step))


def _take_turn(
    tree: Tree, manager: Manager, step: Step, facts: reconcile.Facts, done: dict[str, Any]
) -> dict[str, Any]:
    """The part of a step that starts something, or sees to what runs; with what making way for it did."""
    if _beside(step) and successor.unit_text(manager, step.name) is None:
        _start_beside(tree, manager, step, facts)
    if _alone(step):
        _write(tree, step)
        done = _together(done, _retire(tree, manager, step))
    if {"start", "restart"} & set(step.actions):
        done = _launch(tree, manager, step, partial(_come_up, tree, manager, step, facts), done)
    elif "admit" in step.actions and step.previous:  # the run that started it was cut off before its proof
        done = _launch(tree, manager, step, partial(_confirm, tree, manager, step), done)
    elif "adopt" in step.actions and step.adoptee:
        done = _together(done, _adopt(manager, step))
    elif "presets" in step.actions and step.status.active:
        done = _together(done, _reload(tree, manager, step, facts))
    elif step.instance.wanted and step.status.active:
        done = _together(done, _still_healthy(tree, manager, step))
    if {"start", "restart", "admit"} & set(step.actions):
        cut = swap.settle(tree, manager, step, step.instance.url, swap.first_key(step.keys_after))
        done = _together(done, {"cut": cut})
    if step.actions:
        previous.forget(tree, step.name)
    # now that it is proven, or is to stand still; what was deleted comes back, for it is derived from the unit
    if "write" in step.actions or not launch.remembered(tree, step.name):
        reconcile.remember(tree, manager, step.launch)
    return done


def _write(tree: Tree, step: Step) -> None:
    """Write what a start reads; what served until now is kept till the change is proven."""
    if "restart" in step.actions and step.status.active and step.before is not None:
        beside = {name: text for name, text in step.beside_before.items() if text is not None}
        previous.keep(tree, step.name, Previous(step.before, beside, step.keys_before, step.presets_before))
    startfiles.write(tree, step)


def _retire(tree: Tree, manager: Manager, step: Step) -> dict[str, Any]:
    """The part of a step that ends or writes something and starts nothing."""
    done = {"cut": swap.hold(manager, step)} if step.stops and step.status.active else {}
    if step.successor and not step.instance.wanted:
        successor.remove(tree, manager, step.name)
    if "remove" in step.actions:
        manager.remove(step.name)
        previous.forget(tree, step.name)
        files.remove_file(launch.key_path(tree, step.name))
        files.remove_file(os.path.join(launch.folder(tree, step.name), "instance.json"))
        files.remove_file(presets.path(tree, step.name))
        if os.path.isdir(launch.folder(tree, step.name)):
            os.rmdir(launch.folder(tree, step.name))
        return done
    hangs = step.status.waiting and {"write", "start"} <= set(step.actions)  # with what the unit said before
    if hangs or {"stop", "restart"} & set(step.actions):
        manager.stop(step.name)
    if "write" in step.actions and step.after is not None:
        manager.install(step.name, step.after, step.beside)
        startfiles.as_old_as_its_process(step, manager.path(step.name))
    if step.actions:
        manager.enable(step.name, step.instance.wanted)
    return done


def _adopt(manager: Manager, step: Step) -> dict[str, Any]:
    """Take over a process; when that fails, it runs on as before and its unit does not start at boot."""
    if step.adoptee is None:
        return {}
    limit = step.launch.instance.memory_max if step.launch else None
    try:
        return {"adoption": adoption.take(manager, step.instance, step.adoptee, limit)}
    except LlamaOpsError:
        manager.enable(step.name, False)
        raise


def _start_beside(tree: Tree, manager: Manager, step: Step, facts: reconcile.Facts) -> None:
    """Have the new server prove itself beside the one that runs, and send requests to it."""
    beside = successor.step(tree, manager, step)
    try:
        startfiles.write_keys(tree, beside.name, beside.keys_after)
        manager.install(beside.name, beside.after or "", beside.beside)
        _come_up(tree, manager, beside, facts)
        swap.hand_over(step, beside)
    except Exception as exc:  # whatever went wrong, what runs goes on
        with contextlib.suppress(LlamaOpsError):
            front.gate(step.instance).retire(front.NEXT)
        successor.remove(tree, manager, step.name)
        raise _not_proven(step, exc, "The server that ran before serves on. ", True) from exc


def _launch(
    tree: Tree, manager: Manager, step: Step, come_up: Callable[[], dict[str, Any]], done: dict[str, Any]
) -> dict[str, Any]:
    try:
        return _together(done, come_up())
    except Exception as exc:  # whatever went wrong, what ran before must run again
        manager.stop(step.name)
        old = previous.read(tree, step.name)
        restored = old is not None and _restore(tree, manager, step, old)
        if old is not None and restored:
            cut = swap.settle(tree, manager, step, swap.url_of(old.unit, step), swap.first_key(old.keys))
            done = _together(done, {"cut": cut})
            previous.forget(tree, step.name)
            now = "The unit that ran before runs again. "
        elif successor.unit_text(manager, step.name) is not None:
            now = "It is stopped; what was started beside it serves on, until a further run. "
        else:
            now = "It is stopped. "
        if old is None:
            manager.enable(step.name, False)
        raise _not_proven(step, exc, now + swap.broken_off(step.instance, done["cut"]), restored, done["cut"]) from exc


def _come_up(tree: Tree, manager: Manager, step: Step, facts: reconcile.Facts) -> dict[str, Any]:
    mark = manager.mark(step.name)
    answer = _start_and_prove(manager, step)
    speed = answer.get("tokens_per_second")
    placed = reconcile.after_start(tree, manager, step.launch, mark, facts, speed) if step.launch else {}
    return {**answer, **({"placement": placed} if placed else {})}


def _not_proven(step: Step, exc: Exception, now: str, restored: bool, cut: int = 0) -> NotProven:
    known = exc if isinstance(exc, LlamaOpsError) else LlamaOpsError(f"{type(exc).__name__}: {exc}")
    return NotProven(
        f"Instance {step.name!r} did not come up: {known.problem.rstrip('.')}.",
        f"{now}Its command: {step.launch.command.line if step.launch else ''}",
        instance=step.name,
        restored=restored,
        cut=cut,
        log=known.details.get("log", ""),
    )


def _start_and_prove(manager: Manager, step: Step) -> dict[str, Any]:
    seconds = step.launch.start_timeout if step.launch else 60
    mark = manager.mark(step.name)
    manager.start(step.name, seconds)
    pid = manager.status(step.name).pid
    state = probe.wait_ready(step.instance.url, seconds, lambda: os.path.exists(f"/proc/{pid}")) if pid else ""
    status = manager.status(step.name)
    if state != probe.READY or not status.active:
        log = manager.log(step.name, mark)
        reason = logreason.find(log) or f"it is {state or 'not running'}; the service manager says: {status.detail}"
        raise NotProven(reason, log=log[-4000:])
    holder = None if step.instance.socket else ports.holder(step.instance.host, step.instance.port)
    if holder is not None and holder.pid and holder.pid != status.pid:
        raise NotProven(f"{ports.describe(holder)} answers on its port.")
    ambient.check(step.name, status.pid, step.launch.command.env if step.launch else {})
    try:
        return proof.prove(step.instance, swap.first_key(step.keys_after), float(seconds))
    except probe.ProbeError as exc:
        raise NotProven(f"it is ready and gives no answer: {exc}", log=manager.log(step.name, mark)[-4000:]) from exc


def _reload(tree: Tree, manager: Manager, step: Step, facts: reconcile.Facts) -> dict[str, Any]:
    """Have a router that runs take over its presets file; the one before comes back when that fails."""
    seconds = float(step.launch.start_timeout if step.launch else 60)
    mark = manager.mark(step.name)
    try:
        done = router.reload(step.instance.url, step.instance, swap.first_key(step.keys_after), seconds)
        placed = reconcile.after_start(tree, manager, step.launch, mark, facts) if step.launch else {}
        return {**done, "placement": placed}
    except NotProven as exc:
        startfiles.write_presets(tree, step.name, step.presets_before)
        with contextlib.suppress(probe.ProbeError):
            probe.models(step.instance.url, swap.first_key(step.keys_after), seconds, reload=True)
        raise NotProven(
            f"Instance {step.name!r}: {exc.problem}", "The models it had before are back.", instance=step.name
        ) from exc


def _still_healthy(tree: Tree, manager: Manager, step: Step) -> dict[str, Any]:
    """An instance that already runs must be ready, or become so; it is never restarted for this."""
    seconds = step.launch.start_timeout if step.launch else 60
    if probe.wait_ready(step.instance.url, seconds, lambda: os.path.exists(f"/proc/{step.status.pid}")) != probe.READY:
        raise NotProven(
            f"Instance {step.name!r} runs (process {step.status.pid}) and is not ready at {step.instance.url}.",
            f"Look at its log; restart it with state: restarted. Unit: {manager.path(step.name)}",
        )
    ambient.check(step.name, step.status.pid, step.launch.command.env if step.launch else {})
    record = Record.of(step.launch.facts) if step.launch else None
    return {"placement": reconcile.standing(tree, manager, step.name, record, step.status.pid)}


def _confirm(tree: Tree, manager: Manager, step: Step) -> dict[str, Any]:
    """The proof of a server that runs already."""
    placed = _still_healthy(tree, manager, step)
    seconds = float(step.launch.start_timeout if step.launch else 60)
    reconcile.insist(step.launch, placed["placement"])
    return {**placed, **proof.prove(step.instance, swap.first_key(step.keys_after), seconds)}


def _restore(tree: Tree, manager: Manager, step: Step, old: Previous) -> bool:
    """Bring back what was proven before. True if it answers again."""
    startfiles.write_keys(tree, step.name, old.keys)
    startfiles.write_presets(tree, step.name, old.presets)
    manager.install(step.name, old.unit, old.beside)
    seconds = max(60, step.launch.start_timeout if step.launch else 0)
    manager.start(step.name, seconds)
    return probe.wait_ready(swap.url_of(old.unit, step), seconds) == probe.READY
