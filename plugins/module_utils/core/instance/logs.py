# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of an instance: the last lines, those since its last start, and why it does not run."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from typing import Any

from ..errors import InvalidInput
from . import logreason
from .service import Manager

START, EVER = "start", "ever"
TIME = re.compile(r"[0-9A-Za-z][0-9A-Za-z :.+-]{0,39}")
_JITTER = 10_000  # µs by which the lines of several threads may stand in the wrong order


def read(manager: Manager, name: str, lines: int, since: str) -> dict[str, Any]:
    """`{lines, reason, active, follow}`; `reason` is why it does not run, `follow` the command that shows more.

    :param since: `start` (the last one), `ever`, or a time as systemd.time(7) has it.
    :raises InvalidInput: no such instance, or a time that the manager does not understand.
    """
    if name not in manager.managed():
        raise InvalidInput(
            f"There is no instance {name!r} here.", f"There are: {', '.join(manager.managed()) or 'none'}."
        )
    if since not in (START, EVER) and not TIME.fullmatch(since):
        raise InvalidInput(f"since cannot be {since!r}.", "Use start, ever, or a time such as 10 min ago.")
    status = manager.status(name)
    return {
        "lines": manager.recent(name, lines, since),
        "reason": None if status.active else why(manager, name),
        "active": status.active,
        "follow": shlex.join(manager.follow(name)),
    }


def why(manager: Manager, name: str) -> str:
    """Why an instance does not run: the reason in the log of its last start, else what its manager says."""
    text = "\n".join(manager.recent(name, 2000, START))
    return logreason.find(text) or manager.status(name).detail


def since_start(lines: Sequence[str]) -> list[str]:
    """The lines of the last start: there the time, which llama.cpp counts from its start, falls back."""
    first, before = 0, 0
    for number, line in enumerate(lines):
        now = _microseconds(line)
        if now is None:
            continue
        if now < before - _JITTER:
            first = number
        before = now
    return list(lines[first:])


def _microseconds(line: str) -> int | None:
    try:
        record = json.loads(line) if line.startswith("{") else None
    except (ValueError, RecursionError):
        return None
    time = record.get("time") if isinstance(record, dict) else None
    return time if isinstance(time, int) else None
