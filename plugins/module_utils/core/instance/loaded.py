# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the models lie that a router has loaded: each against its own plan, and all of them as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..host import process
from . import children, residency
from .record import Record
from .residency import MISMATCH, UNKNOWN, VERIFIED, Residency

Driver = Mapping[str, Mapping[int, "int | None"]]


def judge(
    plans: Mapping[str, Record], log: Iterable[str], kept: Mapping[str, Any], driver: Driver, router: int
) -> dict[str, dict[str, Any]]:
    """Model -> `{pid, started, residency, residency_reasons, actual}` of each that is loaded.

    :param kept: what was returned before; it holds for processes that are still the same.
    :param log: of the router. :param driver: see `residency.judge`.
    """
    said = children.logs(log)
    found = {}
    for model, pid in sorted(children.processes(router).items()):
        started, before = process.start_time(pid), kept.get(model) or {}
        if (before.get("pid"), before.get("started")) == (pid, started) and before.get("residency") != UNKNOWN:
            found[model] = dict(before)
            continue
        judged = Residency(UNKNOWN, ("It has no plan.",))
        if model in plans:
            judged = residency.judge(plans[model].document(), said.get(model, ()), driver, pid)
        found[model] = {"pid": pid, "started": started, **report(judged, pid)}
    return found


def report(found: Residency, pid: int) -> dict[str, Any]:
    """`{residency, residency_reasons, actual}` of a process."""
    actual = {name: dict(cells) for name, cells in found.actual.items()}
    resident = process.resident(pid)
    if resident:
        actual.setdefault(residency.HOST, {})["process"] = resident
    return {"residency": found.verdict, "residency_reasons": list(found.reasons), "actual": actual}


def whole(models: Mapping[str, Mapping[str, Any]], router: int) -> dict[str, Any]:
    """The same of a router: verified when all that is loaded is. `models` has each on its own."""
    verdicts = {item["residency"] for item in models.values()}
    verdict = next((one for one in (MISMATCH, UNKNOWN, VERIFIED) if one in verdicts), UNKNOWN)
    reasons = [f"{name}: {reason}" for name, item in models.items() for reason in item["residency_reasons"]]
    actual: dict[str, dict[str, int]] = {residency.HOST: {"process": process.resident(router)}}
    for item in models.values():
        for device, cells in item["actual"].items():
            sums = actual.setdefault(device, {})
            for part, size in cells.items():
                sums[part] = sums.get(part, 0) + size
    return {
        "residency": verdict,
        "residency_reasons": reasons or ([] if models else ["No model is loaded."]),
        "actual": actual,
        "models": {name: dict(item) for name, item in models.items()},
    }


def elsewhere(instance: Any, placed: Mapping[str, Any]) -> list[str]:
    """Why an instance, or a model of a router, lies elsewhere than planned and may not; nothing where all is well."""
    rules = {item.name: item.plan for item in instance.models}
    if not rules:
        wrong = placed.get("residency") == MISMATCH and not instance.plan.allow_mismatch
        return list(placed.get("residency_reasons") or ["It does not say where."]) if wrong else []
    return [
        f"{name}: {reason}"
        for name, item in (placed.get("models") or {}).items()
        if item["residency"] == MISMATCH and not (name in rules and rules[name].allow_mismatch)
        for reason in item["residency_reasons"]
    ]
