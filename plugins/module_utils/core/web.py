# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request over HTTP(S): who gets which header, what can be tried again, and which bytes an answer holds."""

from __future__ import annotations

import email.utils
import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from .errors import Unreachable, Untrusted

_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Interrupted(Unreachable):
    """What may succeed when tried again. `pause`: seconds the server asks to wait, or None."""

    pause: float | None = None


class Refused(Unreachable):
    """An answer that will be the same next time: its status, and the code a hub gives as reason."""

    status = 0
    code = ""


@dataclass(frozen=True)
class Remote:
    """A URL, how messages name it, and headers for its host alone: another host never gets them."""

    url: str
    shown: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Body:
    """An answer whose body starts at byte `start` of a file of `total` bytes (None: not said)."""

    answer: http.client.HTTPResponse
    start: int
    total: int | None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to HTTP(S) only, never back from HTTPS, and keeps a host's own headers on that host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
            raise Untrusted(f"{old.scheme}://{old.hostname} sends on to {new.scheme}://{new.hostname}; refused.")
        found = super().redirect_request(req, fp, code, msg, headers, newurl)
        if found and (old.scheme, old.netloc) == (new.scheme, new.netloc):
            for name, value in req.unredirected_hdrs.items():
                if name != "Host":
                    found.add_unredirected_header(name, value)
        return found


def get(remote: Remote, timeout: float, start: int = 0, end: int | None = None) -> Body:
    """Ask for a URL's bytes from `start` on, before `end`; the caller closes the answer.

    A server that ignores the range is answered for with `start` 0: the caller sees it before it reads a byte.

    :param timeout: seconds without a byte.
    :raises Interrupted: no answer, or an error that may pass.
    :raises Refused: any other error. :raises Untrusted: a redirect or a range that cannot be right.
    """
    request = urllib.request.Request(remote.url, headers={"User-Agent": "llamaops", "Accept-Encoding": "identity"})
    if start or end is not None:
        request.add_header("Range", f"bytes={start}-{'' if end is None else end - 1}")
    for name, value in remote.headers.items():
        request.add_unredirected_header(name, value)
    try:
        answer = urllib.request.build_opener(_Redirects).open(request, timeout=timeout)
    except urllib.error.HTTPError as exc:
        with exc:
            if exc.code == 416 and (found := re.fullmatch(r"bytes \*/(\d+)", exc.headers.get("Content-Range") or "")):
                raise PastEnd(int(found.group(1))) from None
            raise _refusal(remote, exc) from None
    except (urllib.error.URLError, http.client.HTTPException, OSError) as exc:
        raise broken(remote, getattr(exc, "reason", None) or exc) from None
    try:
        return _body(remote, answer, start)
    except BaseException:
        answer.close()
        raise


class PastEnd(Exception):
    """The range starts behind the end of a file of `total` bytes."""

    def __init__(self, total: int) -> None:
        super().__init__()
        self.total = total


def broken(remote: Remote, reason: object) -> Interrupted:
    """The error for a connection that could not be made, or broke."""
    return Interrupted(f"Fetching {remote.shown} failed: {reason}.", "Check the network, then run this again.")


def _body(remote: Remote, answer: http.client.HTTPResponse, start: int) -> Body:
    if answer.status != 206:
        return Body(answer, 0, answer.length)
    said = answer.headers.get("Content-Range") or ""
    found = _RANGE.fullmatch(said)
    if not found or int(found.group(1)) != start:
        raise Untrusted(
            f"{remote.shown} was asked for its bytes from {start} on and answered with Content-Range {said[:80]!r}.",
            "A proxy or the server is at fault; use another endpoint.",
        )
    return Body(answer, start, None if found.group(3) == "*" else int(found.group(3)))


def _refusal(remote: Remote, answer: urllib.error.HTTPError) -> Unreachable:
    problem = f"{remote.shown} answered with status {answer.code}."
    if answer.code in _AGAIN:
        passing = Interrupted(problem, "Try again later, or use another endpoint.")
        passing.pause = _pause(answer.headers.get("Retry-After"))
        return passing
    lasting = Refused(problem)
    lasting.status, lasting.code = answer.code, str(answer.headers.get("X-Error-Code") or "")
    return lasting


def _pause(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which gives seconds or a date."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
