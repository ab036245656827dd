# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof that a started server lies where its plan put it: the buffers of its log, and the driver, against the plan.

The line "offloaded N/N layers to GPU" proves nothing: it is printed when every buffer is in the memory of the host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..memory import loadlog
from ..sizes import human
from .record import LOOSE

VERIFIED, MISMATCH, UNKNOWN = "verified", "mismatch", "unknown"
HOST = "host"
_LINE = 32 << 10  # bytes: llama.cpp prints hundredths of a MiB, up to two lines a component
_SHARE = 200  # one part of so many may differ; a layer of the deepest models is twice that
_LOOSE = 2  # of a model that torch holds: files have tensors that it leaves out, and it has buffers of its own
_LOADS = re.compile(r"load_model: loading model '")  # tools/server/server-context.cpp
_PLACED = ("weights", "kv_cache", "recurrent_state")
_WORDS = {"weights": "weights", "kv_cache": "cache", "recurrent_state": "recurrent state"}
# What a plan calls otherwise on the host.
_ON_HOST = {"weights": "mapped_weights"}
# Parts of a launch that print lines of the same form as the model itself.
_BESIDE = ("draft", "mmproj")


@dataclass(frozen=True)
class Residency:
    """The verdict, why, and what was taken: bytes by device (or `host`) and component."""

    verdict: str
    reasons: tuple[str, ...] = ()
    actual: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def judge(
    plan: Mapping[str, Any],
    log: Iterable[str],
    driver: Mapping[str, Mapping[int, int | None]] | None = None,
    pid: int = 0,
) -> Residency:
    """Compare a plan with the log of the start that followed it.

    :param plan: as it stands in the unit, see `planned.Record`.
    :param driver: by device id, bytes by process, as the driver of the GPUs tells; None where nobody was asked.
    :param pid: the main process of the server.
    """
    found = loadlog.parse(last_load(log))
    names = {row["buffer"]: row["id"] for row in plan["devices"]}
    sized = any(row["components"] for row in plan["devices"]) or bool(plan["host"]["components"])
    actual = {names.get(name, name): dict(cells) for name, cells in found.buffers.items()}
    if not any("weights" in cells for cells in actual.values()):
        return Residency(UNKNOWN, ("Its log has no lines about buffers of weights.",), actual)
    if not sized:
        return Residency(UNKNOWN, ("Its plan has no sizes.",), actual)
    # a general rule sizes the cache of an architecture that nobody measured; its weights are exact all the same
    parts = _PLACED if plan.get("confidence") != "low" else _PLACED[:1]
    share = _LOOSE if plan.get("confidence") == LOOSE else _SHARE
    reasons = [
        reason for row in plan["devices"] for reason in _compare(row["id"], row["components"], actual, parts, share)
    ]
    reasons += _compare_host(plan, actual, parts, share)
    for name in sorted(set(actual) - set(names.values()) - {HOST}):
        held = sum(actual[name].get(part, 0) for part in _PLACED)
        reasons += [f"{name} holds {human(held)}, and is not in the plan."] if held else []
    reasons += _ask_driver(plan, driver or {}, pid, actual)
    return Residency(MISMATCH if reasons else VERIFIED, tuple(reasons), actual)


def last_load(log: Iterable[str]) -> list[str]:
    """The lines since a server last began to load its model: a crash, or a wake from sleep, makes it load again."""
    lines = list(log)
    starts = [number for number, line in enumerate(lines) if _LOADS.search(line)]
    return lines[starts[-1] :] if starts else lines


def _compare(
    name: str, planned: Mapping[str, int], actual: Mapping[str, Mapping[str, int]], parts: Sequence[str], share: int
) -> list[str]:
    """Where a device holds more or less of what has a place than was planned."""
    beside = sum(planned.get(part, 0) for part in _BESIDE)
    reasons = []
    for part in parts:
        wanted, held = planned.get(part, 0), actual.get(name, {}).get(part, 0)
        if not wanted - _tolerance(wanted, share) <= held <= wanted + beside + _tolerance(wanted, share):
            reasons.append(f"{name} holds {_size(held)} of {_WORDS[part]}; planned are {_size(wanted)}.")
    return reasons


def _compare_host(
    plan: Mapping[str, Any], actual: Mapping[str, Mapping[str, int]], parts: Sequence[str], share: int
) -> list[str]:
    """The host may map more of a file than it uses, and copies what it lays out anew; less than planned is wrong."""
    planned, held = plan["host"]["components"], actual.get(HOST, {})
    beside = sum(planned.get(part, 0) for part in _BESIDE)
    reasons = []
    for part in parts:
        wanted, there = planned.get(_ON_HOST.get(part, part), 0), held.get(part, 0)
        most = wanted + beside + _tolerance(wanted, share) if part != "weights" else there
        if not wanted - _tolerance(wanted, share) <= there <= most:
            reasons.append(f"The host holds {_size(there)} of {_WORDS[part]}; planned are {_size(wanted)}.")
    return reasons


def _ask_driver(
    plan: Mapping[str, Any],
    driver: Mapping[str, Mapping[int, int | None]],
    pid: int,
    actual: dict[str, dict[str, int]],
) -> list[str]:
    """What the driver says of the process, noted as `process`; in a container it may not know it by this number."""
    rows = [row for row in plan["devices"] if row["id"] in driver]
    if not any(pid in driver[row["id"]] for row in rows):
        return []
    reasons = []
    for row in rows:
        name = row["id"]
        held = sum(actual.get(name, {}).values())
        if pid not in driver[name]:
            reasons += (
                [f"The driver knows no process {pid} on {name}, which should hold {_size(held)}."] if held else []
            )
            continue
        used = driver[name][pid]
        if used is not None:
            actual.setdefault(name, {})["process"] = used
    return reasons


def overheads(residency: Residency) -> dict[str, int]:
    """By device id, bytes that the driver counts for the process beyond its buffers: its own context, and growth."""
    found = {}
    for name, cells in residency.actual.items():
        if "process" in cells:
            buffers = sum(size for part, size in cells.items() if part != "process")
            found[name] = max(cells["process"] - buffers, 0)
    return found


def _tolerance(size: int, share: int) -> int:
    return max(_LINE, size // share)


def _size(size: int) -> str:
    return f"{size / (1 << 20):.2f} MiB"
