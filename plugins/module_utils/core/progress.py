# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a long job is: one line of text in `<root>/work/jobs/<job>.progress`, for whoever waits for it."""

from __future__ import annotations

import os
import re
import threading
import time

from .errors import InvalidInput
from .files import remove_file, write_text
from .sizes import human
from .tree import Tree

_EVERY = 1.0  # seconds between two lines
_JOB = re.compile(r"[a-z0-9-]{1,64}")


class Progress:
    """The line of one job; without a name of the job nothing is written. Threads may share it."""

    def __init__(self, tree: Tree | None = None, job: str | None = None) -> None:
        """:raises InvalidInput: the name of the job could be a path."""
        if job and not _JOB.fullmatch(job):
            raise InvalidInput(f"{job!r} cannot name a job.")
        self._path = os.path.join(tree.jobs, f"{job}.progress") if tree and job else None
        self._lock = threading.Lock()
        self._what, self._total = "", 0
        self._done = self._said = 0
        self._rate: float | None = None
        self._told = time.monotonic()

    def say(self, text: str) -> None:
        """Replace the line."""
        if self._path and os.path.isdir(os.path.dirname(self._path)):
            write_text(self._path, " ".join(text.split()) + "\n")

    def expect(self, what: str, total: int) -> None:
        """Begin with something of so many bytes (0: not known)."""
        with self._lock:
            self._what, self._total = what, total
            self._done = self._said = 0
            self._rate, self._told = None, time.monotonic()
            self.say(what)

    def moved(self, count: int) -> None:
        """So many further bytes are there."""
        with self._lock:
            self._done += count
            now = time.monotonic()
            if self._path and now - self._told >= _EVERY:
                self._rate = _blend(self._rate, (self._done - self._said) / (now - self._told))
                self._told, self._said = now, self._done
                self.say(f"{self._what}: {line(self._done, self._total, self._rate)}")

    def end(self) -> None:
        """Remove the line."""
        if self._path:
            remove_file(self._path)


def line(done: int, total: int, rate: float) -> str:
    """`1.2 GiB of 4.5 GiB (27 %), 85.3 MiB/s, 0:00:39 left`; pure. Bytes, and bytes a second."""
    speed = f"{human(int(max(0.0, rate)))}/s"
    if not total:
        return f"{human(done)}, {speed}"
    text = f"{human(done)} of {human(total)} ({100 * done // total} %), {speed}"
    return f"{text}, {clock((total - done) / rate)} left" if rate > 0 else text


def _blend(old: float | None, new: float) -> float:
    """A rate that follows the last few seconds."""
    return new if old is None else 0.7 * old + 0.3 * new


def clock(seconds: float) -> str:
    """Seconds as `h:mm:ss`."""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
