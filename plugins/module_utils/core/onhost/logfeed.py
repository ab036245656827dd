# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of an instance as it grows, line by line, each with a cursor from which a reader goes on without a gap."""

from __future__ import annotations

import glob
import json
import os
import re
import select
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import InvalidInput, MissingTool
from ..instance import logs
from ..instance.service import Manager
from ..instance.supervisor import Supervisor
from ..instance.systemd import Systemd
from .lines import Splitter

MOST = 5000  # lines of the past that are told, where not all are wanted
ALL = -1
_LONGEST = 16 << 10  # characters of a line
_BATCH = 200
_PAUSE = 0.3  # seconds between two looks at a file
_JOURNAL_CURSOR = re.compile(r"[A-Za-z0-9=;_-]{1,400}")
_FILE_CURSOR = re.compile(r"([0-9]{1,20}):([0-9]{1,20})")
_LEVELS = {"debug": "debug", "info": "info", "warn": "warning", "warning": "warning", "error": "error"}

Line = dict[str, Any]


def feed(
    manager: Manager, name: str, lines: int, after: str, since: str, follow: bool, stop: threading.Event
) -> Iterator[list[Line]]:
    """`[{cursor, at, text, level}]`, in batches: the last lines, or those after a cursor, and then what comes.

    `at` is in seconds since the epoch, None where the log has no times.

    :param lines: how many of the past; -1 for all that are kept.
    :param since: a time as systemd.time(7) has it, or empty.
    :param follow: go on until `stop` is set.
    :raises InvalidInput: no such instance, or a cursor or a time that is none.
    """
    if name not in manager.managed():
        raise InvalidInput(f"There is no instance {name!r} here.", f"There are: {', '.join(manager.managed())}.")
    count = ALL if lines < 0 else min(lines, MOST)
    if isinstance(manager, Systemd):
        if after and not _JOURNAL_CURSOR.fullmatch(after):
            raise InvalidInput("That is no cursor of a journal.", "Leave it out to begin with the last lines.")
        if since and not logs.TIME.fullmatch(since):
            raise InvalidInput(f"since cannot be {since!r}.", "Use a time such as 10 min ago.")
        return _journal(manager.entries(name, count, after, since, follow), stop)
    if isinstance(manager, Supervisor):
        return _files(manager.log_path(name), count, after, follow, stop)
    raise InvalidInput(f"The logs of {manager.kind} cannot be followed.")


def _journal(argv: Sequence[str], stop: threading.Event) -> Iterator[list[Line]]:
    try:
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function  # as in command.run
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except FileNotFoundError as exc:
        raise MissingTool("The program 'journalctl' was not found.") from exc
    try:
        yield from _read(process, stop)
        if not stop.is_set() and process.wait():
            raise InvalidInput(f"journalctl ended with status {process.returncode}.", "See that the time is one.")
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def _read(process: subprocess.Popen[bytes], stop: threading.Event) -> Iterator[list[Line]]:
    pipe = process.stdout.fileno() if process.stdout else -1
    splitter = Splitter(8 << 20)
    while not stop.is_set():
        if not select.select([pipe], [], [], _PAUSE)[0]:
            continue
        data = os.read(pipe, 1 << 16)
        if not data:
            return
        found = [line for raw, _cut in splitter.feed(data) if (line := _entry(raw))]
        for first in range(0, len(found), _BATCH):
            yield found[first : first + _BATCH]


def _entry(raw: bytes) -> Line | None:
    """A line of `journalctl --output=json` (systemd.journal-fields(7))."""
    try:
        said = json.loads(raw)
        cursor, time_of = str(said["__CURSOR"]), int(said["__REALTIME_TIMESTAMP"]) / 1e6
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    message, priority = said.get("MESSAGE"), str(said.get("PRIORITY", "6"))
    if isinstance(message, list):  # bytes that are no text
        message = bytes(value & 255 for value in message if isinstance(value, int)).decode("utf-8", "replace")
    level = "error" if priority in "0123" else "warning" if priority == "4" else "info"
    return _line(cursor, time_of, str(message or ""), level)


def _line(cursor: str, at: float | None, text: str, level: str) -> Line:
    if text.startswith("{"):  # as llama-server writes with --log-jsonl
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            said = None
        if isinstance(said, dict) and isinstance(said.get("msg"), str):
            text, level = said["msg"].rstrip("\n"), _LEVELS.get(str(said.get("level")), level)
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]} … ({len(text) - _LONGEST} more characters)"
    return {"cursor": cursor, "at": at, "text": text, "level": level}


def _files(path: str, lines: int, after: str, follow: bool, stop: threading.Event) -> Iterator[list[Line]]:
    """A log that is rotated to `path.1` and so on. A cursor is the inode of a file and a place in it."""
    inode, place = _start(path, lines, after)
    while True:
        found = _numbered(path, inode)
        if found is None:  # it is gone, or was never there
            inode, place = _inode(path), 0
            if inode:
                continue
        else:
            for batch, end in _rest(found, inode, place):
                place = end
                yield batch
                if stop.is_set():
                    return
            newer = _newer(path, found)
            if newer is not None:
                inode, place = newer, 0
                continue
        if not follow or stop.wait(_PAUSE):
            return


def _start(path: str, lines: int, after: str) -> tuple[int, int]:
    if after:
        said = _FILE_CURSOR.fullmatch(after)
        if not said:
            raise InvalidInput("That is no cursor of a log file.", "Leave it out to begin with the last lines.")
        return int(said[1]), int(said[2])
    if lines == ALL:
        return _inode(max(glob.glob(glob.escape(path) + ".[0-9]*"), key=_number, default=path)), 0
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            begin = max(0, size - (1 << 20))
            file.seek(begin)
            kept = file.read(size - begin).splitlines(keepends=True)
            tail = kept[-lines:] if lines else []
            return os.fstat(file.fileno()).st_ino, size - sum(len(line) for line in tail)
    except FileNotFoundError:
        return 0, 0


def _rest(path: str, inode: int, place: int) -> Iterator[tuple[list[Line], int]]:
    """The whole lines of a file after a place, in batches, each with the place after it."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_ino != inode:
            return  # rotated this very moment: the next round finds it
        file.seek(place)
        batch: list[Line] = []
        while True:
            raw = file.readline(1 << 20)
            if not raw or not (raw.endswith(b"\n") or len(raw) == 1 << 20):
                break
            place += len(raw)
            batch.append(_line(f"{inode}:{place}", None, raw.decode("utf-8", "replace").rstrip("\r\n"), "info"))
            if len(batch) == _BATCH:
                yield batch, place
                batch = []
        if batch:
            yield batch, place


def _numbered(path: str, inode: int) -> str | None:
    """Where the file with this inode is now: at `path`, or at `path.N`."""
    if not inode:
        return None
    return next((name for name in (path, *glob.glob(glob.escape(path) + ".[0-9]*")) if _inode(name) == inode), None)


def _number(path: str) -> int:
    """The age of a rotated file."""
    tail = path.rpartition(".")[2]
    return int(tail) if tail.isdigit() else 0


def _newer(path: str, found: str) -> int | None:
    """The inode of the file that was begun after a rotated one; None for the newest."""
    if found == path:
        return None
    number = _number(found)
    return _inode(f"{path}.{number - 1}" if number > 1 else path) or None


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


def once(manager: Manager, name: str, lines: int, since: str) -> Iterator[Line]:
    """The last lines that are there."""
    stop = threading.Event()
    for batch in feed(manager, name, lines, "", since, False, stop):
        yield from batch
