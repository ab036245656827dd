# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol of `llama-host watch`: one JSON object a line, at most 1 MiB long."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

SCHEMA = 1
LONGEST = 1 << 20  # bytes of a line, its end included


def encode(message: Mapping[str, Any]) -> bytes:
    """A message as a line. One that would be longer is left out, and the line says so."""
    line = json.dumps(message, separators=(",", ":"), allow_nan=False, default=str).encode("utf-8") + b"\n"
    if len(line) <= LONGEST:
        return line
    kept = {key: message[key] for key in ("kind", "at", "id") if key in message}
    problem = f"This would be a line of {len(line)} bytes; at most {LONGEST} are sent."
    return json.dumps({**kept, "cut": True, "error": {"message": problem}}).encode("utf-8") + b"\n"


def decode(line: bytes) -> dict[str, Any] | None:
    """A request `{id, do, with}`; None when the line is none."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not isinstance(said.get("do"), str):
        return None
    number, given = said.get("id"), said.get("with") or {}
    if isinstance(number, bool) or not isinstance(number, int) or not isinstance(given, dict):
        return None
    return {"id": number, "do": said["do"], "with": given}


class Splitter:
    """Lines of a stream of bytes, with bounded memory: of a line that is too long the rest is passed over.

    :param longest: bytes of a line that are kept.
    """

    def __init__(self, longest: int = LONGEST) -> None:
        self.longest = longest
        self._kept = b""
        self._over = False  # what comes is the rest of a line that was cut

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """`(line, cut)` of each line that is complete, without its end; a cut one comes as soon as it is too long."""
        *whole, rest = data.split(b"\n")
        for part in whole:
            if not self._over:
                line = self._kept + part
                yield line[: self.longest], len(line) > self.longest
            self._kept, self._over = b"", False
        if self._over:
            return
        self._kept += rest
        if len(self._kept) > self.longest:
            yield self._kept[: self.longest], True
            self._kept, self._over = b"", True
