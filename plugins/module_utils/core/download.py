# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching one file over HTTP(S)."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping

from .errors import MissingTool, Unreachable
from .sizes import human

_BLOCK = 1 << 20
_TIMEOUT = 60.0  # seconds without a byte
_RESERVE = 64 << 20  # bytes left free on the file system for everything else


def fetch(url: str, shown: str, path: str, headers: Mapping[str, str] | None = None) -> str:
    """Write what a URL gives to `path`; returns its SHA-256 in hex.

    :param shown: the URL as messages may name it.
    :param headers: further headers, for this host alone: a redirect does not carry them on.
    :raises Unreachable: no answer, an error, or an answer that ends early.
    :raises MissingTool: the disk has no room for it.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "llamaops", "Accept-Encoding": "identity"})
    for name, value in (headers or {}).items():
        request.add_unredirected_header(name, value)
    try:
        with urllib.request.build_opener().open(request, timeout=_TIMEOUT) as answer:
            return _copy(answer, shown, path)
    except urllib.error.HTTPError as exc:
        raise Unreachable(f"{shown} answered with status {exc.code}.") from None
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as exc:
        reason = getattr(exc, "reason", None) or exc
        raise Unreachable(f"Fetching {shown} failed: {reason}.", "Check the network, then run this again.") from None


def check_space(folder: str, needed: int) -> None:
    """Make sure that a file system has room.

    :raises MissingTool: names needed and free bytes.
    """
    free = shutil.disk_usage(folder).free
    if needed + _RESERVE > free:
        raise MissingTool(
            f"{folder} has {human(free)} free; {human(needed)} are needed, and {human(_RESERVE)} stay free.",
            "Make room there, or let a link put it on a larger disk.",
        )


def _copy(answer: http.client.HTTPResponse, shown: str, path: str) -> str:
    """Write the body to `path`; returns its SHA-256."""
    promised = answer.length or 0
    check_space(os.path.dirname(path), promised)
    digest, size = hashlib.sha256(), 0
    with open(path, "wb") as file:
        while True:
            block = answer.read(_BLOCK)
            if not block:
                break
            size += len(block)
            if not promised:
                check_space(os.path.dirname(path), len(block))
            digest.update(block)
            file.write(block)
    if promised and size != promised:
        raise Unreachable(f"{shown} ended after {size} of {promised} bytes.", "Run this again.")
    return digest.hexdigest()
