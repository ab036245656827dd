# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The events of a job on disk: JSON lines in one file, written by one process at a time, read by many."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = "events.jsonl"
LIMIT = 16 << 20  # bytes of one job; the end is always written
_BLOCK = 256 << 10


class Writer:
    """Appends events, each with the next counter."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self._path, self._limit, self._full = folder / FILE, limit, False
        self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        last = Reader(folder).last()
        self._counter = int(last.get("counter", 0)) if last else 0
        size = os.fstat(self._handle).st_size
        if size:  # whoever wrote before may have been killed within a line
            os.write(self._handle, b"\n")

    def add(self, event: dict[str, Any]) -> None:
        """Write one event. Beyond the limit only failures and the end are written."""
        if os.fstat(self._handle).st_size > self._limit and event["kind"] not in ("failed", "unreachable", "end"):
            if self._full:
                return
            self._full, event = (
                True,
                {"kind": "stdout", "text": "Further events are not kept: this job wrote too many."},
            )
        self._counter += 1
        line = json.dumps({"counter": self._counter, "at": round(time.time(), 3), **event}, default=str) + "\n"
        data = line.encode("utf-8", errors="replace")
        while data:
            data = data[os.write(self._handle, data) :]
        if event["kind"] == "end":
            os.fsync(self._handle)

    def close(self) -> None:
        os.close(self._handle)


class Reader:
    """Reads what is new since the last time."""

    def __init__(self, folder: Path) -> None:
        self._path, self._at, self._rest = folder / FILE, 0, b""

    def new(self) -> Iterator[dict[str, Any]]:
        """The events that were added, as far as they are complete, at most some hundred kilobytes at once."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._at)
                block = file.read(_BLOCK)
        except FileNotFoundError:
            return
        self._at += len(block)
        *lines, self._rest = (self._rest + block).split(b"\n")
        for line in lines:
            event = _parsed(line)
            if event is not None:
                yield event

    def last(self) -> dict[str, Any] | None:
        """The last complete event."""
        try:
            with open(self._path, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _BLOCK))
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return None
        return next((event for event in map(_parsed, reversed(lines)) if event is not None), None)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("counter"), int) else None
