# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the header of a GGUF file that lies on a server, by a few range requests and without its tensors."""

from __future__ import annotations

import contextlib
import http.client

from .. import web
from ..errors import Untrusted
from ..web import Remote
from . import header as gguf

_FIRST, _LARGEST = 1 << 20, 8 << 20  # bytes of a request; the first holds the header of most shards and small models


def read_header(remote: Remote, timeout: float = 60.0) -> gguf.Header:
    """The header of a file on a server, checked, and its length compared with what the header says.

    :raises Untrusted: it is no usable GGUF file, or the server does not answer with the range it was asked for.
    :raises Unreachable: the server does not give it.
    """
    source = _Ranges(remote, timeout)
    try:
        header = gguf.parse(source.read)
        gguf.check_length(header, source.total)
    except Untrusted as exc:
        raise Untrusted(f"{remote.shown} is not a usable GGUF file: {exc.problem}", exc.remedy) from None
    return header


class _Ranges:
    """The bytes of a file from its start; every request asks for twice as many as the one before, up to `_LARGEST`."""

    def __init__(self, remote: Remote, timeout: float) -> None:
        self._remote, self._timeout = remote, timeout
        self._ahead = b""
        self._at, self._next = 0, _FIRST
        self.total = 1

    def read(self, count: int) -> bytes:
        """The next bytes: as many as asked for or, at the end of the file, fewer."""
        while len(self._ahead) < count and self._at < self.total:
            self._ahead += self._request(self._next)
            self._next = min(2 * self._next, _LARGEST)
        found, self._ahead = self._ahead[:count], self._ahead[count:]
        return found

    def _request(self, count: int) -> bytes:
        try:
            body = web.get(self._remote, self._timeout, self._at, self._at + count)
        except web.PastEnd:
            raise Untrusted("it is empty.") from None
        with contextlib.closing(body.answer):
            if body.answer.status != 206 or body.total is None:
                raise Untrusted("the server ignores ranges and would send the whole file.", "Use another endpoint.")
            wanted = min(count, body.total - self._at)
            try:
                data = body.answer.read(wanted)
            except (http.client.HTTPException, OSError) as exc:
                raise web.broken(self._remote, exc) from None
        if len(data) != wanted:
            raise web.broken(self._remote, f"{len(data)} of {wanted} bytes came")
        self.total = body.total
        self._at += wanted
        return data
