# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a compile is, read from the `[n/m]` lines that Ninja writes to the log."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from typing import Callable

from ..progress import clock

_EVERY = 1.0  # seconds between two looks
_TAIL = 1 << 14  # bytes in which a line of Ninja is looked for; a warning of a compiler can be long
_STEP = re.compile(rb"^\[(\d+)/(\d+)\] ", re.M)


def latest(text: bytes) -> tuple[int, int] | None:
    """Steps done and steps in all, by the last `[n/m]` line of a log; None without one."""
    found = _STEP.findall(text)
    return (int(found[-1][0]), int(found[-1][1])) if found else None


def line(done: int, total: int, seconds: float) -> str:
    """`compile [120/400] 30 %, 0:01:30, 0:03:30 left`; pure. `seconds` have passed so far."""
    percent = 100 * done // total if total else 0
    text = f"compile [{done}/{total}] {percent} %, {clock(seconds)}"
    return f"{text}, {clock(seconds * (total - done) / done)} left" if done else text


@contextlib.contextmanager
def watched(log: str, start: int, progress: Callable[[str], None]) -> Iterator[None]:
    """Tell how far the Ninja is that writes to the file `log`, from byte `start` on, while the block runs."""
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(log, start, progress, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _watch(log: str, start: int, progress: Callable[[str], None], ended: threading.Event) -> None:
    begun, told = time.monotonic(), None
    while not ended.wait(_EVERY):
        with contextlib.suppress(OSError):  # a full disk, for example: the compile itself says so
            found = latest(_tail(log, start))
            if found and found != told:
                told = found
                progress(line(*found, time.monotonic() - begun))


def _tail(log: str, start: int) -> bytes:
    """The end of a file, but nothing before byte `start`."""
    with open(log, "rb") as file:
        end = file.seek(0, 2)
        file.seek(max(start, end - _TAIL))
        return file.read(_TAIL)
