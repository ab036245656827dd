# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching one file over HTTP(S), going on where an earlier call or run ended."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from .. import web
from ..errors import MissingTool, Unreachable, Untrusted
from ..files import remove_file
from ..sizes import human
from ..web import Interrupted, Remote

_BLOCK = 1 << 20
_RESERVE = 64 << 20  # bytes left free on the file system for everything else


@dataclass(frozen=True)
class Patience:
    """What is borne before a download is given up; all times in seconds.

    timeout: without a byte. attempts: in a row that bring less than a block. pause: before the second one, doubled
    before each further one. longest: what a server may ask to wait. window, slowest: a connection that brings less than
    so many bytes in this time is cut and made anew.
    """

    timeout: float = 60.0
    attempts: int = 6
    pause: float = 1.0
    longest: float = 300.0
    window: float = 60.0
    slowest: int = 64 << 10


def fetch(url: str, shown: str, path: str, headers: Mapping[str, str] | None = None) -> str:
    """Write what a URL gives to `path`, in one attempt; returns its SHA-256 in hex.

    :param shown: the URL as messages may name it.
    :param headers: further headers, for this host alone.
    :raises Unreachable: no answer, an error, or an answer that ends early.
    :raises MissingTool: the disk has no room for it.
    """
    remove_file(path)
    return resume(Remote(url, shown, headers or {}), path, 0, Patience(attempts=1))


def resume(remote: Remote, path: str, size: int, patience: Patience, moved: Callable[[int], None] | None = None) -> str:
    """Have all of a URL's bytes in `path`; what is there already is kept, hashed and not fetched again.

    :param size: bytes the file must have; 0 if that is not known.
    :param moved: told of so many further bytes at hand; what it raises ends the download.
    :returns: the SHA-256 in hex. Whether it is the right one is the caller's to know.
    :raises Unreachable: it did not come, or not to its end. What came is kept.
    :raises MissingTool: the disk has no room for it.
    """
    with open(path, "a+b") as file:
        part = _Part(file, moved or (lambda _count: None))
        part.read()
        left = patience.attempts
        while True:
            before = part.size
            try:
                _receive(remote, part, size, patience)
                return part.digest.hexdigest()
            except Interrupted as exc:
                left = (patience.attempts if part.size - before >= _BLOCK else left) - 1
                pause = patience.pause * 2 ** (patience.attempts - left - 1) if exc.pause is None else exc.pause
                if left <= 0 or pause > patience.longest:
                    raise
                time.sleep(pause)


def copy(source: str, path: str, moved: Callable[[int], None] | None = None) -> str:
    """Have the bytes of a file in `path`; what is there already is kept. Returns the SHA-256 in hex.

    :raises Untrusted: what is to be copied is no regular file. :raises MissingTool: the disk has no room for it.
    """
    with open(source, "rb", opener=_regular) as file, open(path, "a+b") as target:
        part = _Part(target, moved or (lambda _count: None))
        part.read()
        whole = os.fstat(file.fileno()).st_size
        if part.size > whole:
            part.clear()
        check_space(part.folder, whole - part.size)
        file.seek(part.size)
        while block := file.read(_BLOCK):
            part.add(block)
        return part.digest.hexdigest()


def _regular(path: str, flags: int) -> int:
    handle = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Untrusted(f"{path} is not a regular file.")
    return handle


class _Part:
    """A file on its way: bytes and SHA-256 of what is there."""

    def __init__(self, file: BinaryIO, moved: Callable[[int], None]) -> None:
        self._file, self._moved = file, moved
        self.size, self.digest = 0, hashlib.sha256()

    @property
    def folder(self) -> str:
        return os.path.dirname(self._file.name)

    def read(self) -> None:
        """Hash what an earlier run left."""
        self._file.seek(0)
        while block := self._file.read(_BLOCK):
            self._count(block)

    def add(self, block: bytes) -> None:
        try:
            self._file.write(block)
        except OSError as exc:
            if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise MissingTool(f"{self.folder} is full.", "Make room there, then run this again.") from None
        self._count(block)

    def clear(self) -> None:
        self._file.truncate(0)
        self._moved(-self.size)
        self.size, self.digest = 0, hashlib.sha256()

    def _count(self, block: bytes) -> None:
        self.digest.update(block)
        self.size += len(block)
        self._moved(len(block))


def _receive(remote: Remote, part: _Part, size: int, patience: Patience) -> None:
    """Append what is missing, in one request.

    :raises Interrupted: it ended early or was too slow.
    """
    if size and part.size > size:
        part.clear()
    if size and part.size == size:
        return
    try:
        body = web.get(remote, patience.timeout, part.size)
    except web.PastEnd as exc:
        if exc.total == part.size and not size:
            return
        part.clear()
        raise web.broken(remote, "what is at hand is longer than the file") from None
    with contextlib.closing(body.answer):
        if body.start != part.size:  # the server gives no ranges
            part.clear()
        total = body.total
        if size and total is not None and total != size:
            raise Unreachable(f"{remote.shown} has {total} bytes; {size} were promised.", "Use another endpoint.")
        check_space(part.folder, (total or 0) - part.size)
        _copy(body.answer, part, remote, patience, total or size)
    wanted = total or size
    if wanted and part.size != wanted:
        raise Interrupted(f"{remote.shown} ended after {part.size} of {wanted} bytes.", "Run this again.")


def _copy(answer: http.client.HTTPResponse, part: _Part, remote: Remote, patience: Patience, wanted: int) -> None:
    """Append the body, as long as it comes fast enough."""
    mark, count = time.monotonic(), 0
    for block in _blocks(answer, remote):
        if wanted and part.size + len(block) > wanted:
            raise Unreachable(f"{remote.shown} sends more than the {wanted} bytes it has.")
        if not wanted:
            check_space(part.folder, len(block))
        part.add(block)
        count += len(block)
        if time.monotonic() - mark > patience.window:
            if count < patience.slowest:
                raise web.broken(remote, f"{human(count)} in {patience.window:.0f} s are too slow")
            mark, count = time.monotonic(), 0


def _blocks(answer: http.client.HTTPResponse, remote: Remote) -> Iterator[bytes]:
    try:
        while block := answer.read1(_BLOCK):
            yield block
    except (http.client.HTTPException, OSError) as exc:
        raise web.broken(remote, exc) from None


def check_space(folder: str, needed: int) -> None:
    """Make sure that a file system has room.

    :raises MissingTool: names needed and free bytes.
    """
    free = shutil.disk_usage(folder).free
    if needed + _RESERVE > free:
        raise MissingTool(
            f"{folder} has {human(free)} free; {human(max(0, needed))} are needed, and {human(_RESERVE)} stay free.",
            "Make room there, or let a link put it on a larger disk.",
        )
