# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers that a router started, one a loaded model: their processes, and what each wrote into the router's log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from ..host import belonging, process

# tools/server/server-models.cpp: a child is started, and its output comes as `[port] line`
_STARTS = re.compile(r"spawning server instance with name=(?P<name>\S+) on port (?P<port>\d{1,5})\s*$")
_SAID = re.compile(r"\[(?P<port>\d{1,5})\] (?P<line>.*)", re.DOTALL)


def processes(router: int, proc: str = "/proc") -> dict[str, int]:
    """Model -> process; a router gives each child the name of its model as the only alias."""
    found = {}
    for item in process.find_servers(proc) if router else ():
        around = belonging.of(item.pid, proc)
        words = list(item.argv)
        if around and around.parent == router and "--alias" in words[:-1]:
            found[words[words.index("--alias") + 1]] = item.pid
    return found


def logs(lines: Iterable[str]) -> dict[str, list[str]]:
    """Model -> what its last child wrote; the records of a child are text inside the records of the router."""
    found: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for line in lines:
        text = _message(line)
        start, said = _STARTS.search(text), _SAID.match(text)
        if start:
            names[start["port"]] = start["name"]
            found[start["name"]] = []
        elif said and said["port"] in names:
            found[names[said["port"]]] += said["line"].splitlines()
    return found


def _message(line: str) -> str:
    if not line.startswith("{"):
        return line
    try:
        record = json.loads(line)
    except ValueError:
        return ""
    text = record.get("msg") if isinstance(record, dict) else None
    return text if isinstance(text, str) else ""
