# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts and people said, made fit to be shown: bounded text without control characters, sizes and times."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.fleet.show import span as _span
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.sizes import human

LINE = 4000  # characters of one line of a log that are shown
TEXT = 300  # characters of any other text of a host
# sequences of terminals (CSI, OSC, two characters), then whatever is no printable character
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])|\x9b[0-?]*[ -/]*[@-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TONES = {
    **dict.fromkeys(("ready", "verified", "connected", "succeeded", "ok", "active", "yes"), "ok"),
    **dict.fromkeys(("loading", "waiting", "connecting", "queued", "running", "changed", "unknown"), "info"),
    **dict.fromkeys(("silent", "mismatch", "cordoned", "cancelled", "warning", "missing", "lost-instance"), "warning"),
    **dict.fromkeys(("failed", "device_lost", "error", "unreachable", "lost"), "error"),
}


def clean(value: Any, limit: int = TEXT) -> str:
    """Text as it may be shown: no escape sequences, no control characters, one line, not longer than `limit`."""
    found = str(value if value is not None else "")
    cut = found[: 2 * limit]
    cut = _CONTROL.sub("", _ESCAPES.sub("", cut).replace("\t", " ").replace("\n", " "))
    left = len(found) - min(len(found), limit)
    return (
        cut if len(cut) <= limit and not left else f"{cut[:limit]} … ({left} more characters)" if left else cut[:limit]
    )


def lines(value: Any, limit: int = 2000) -> str:
    """The same for text of several lines, of which not more than `limit` are kept."""
    found = str(value if value is not None else "")[: limit * LINE].splitlines()
    more = [f"… ({len(found) - limit} more lines)"] if len(found) > limit else []
    return "\n".join([*(clean(line, LINE) for line in found[:limit]), *more])


def tone(word: Any) -> str:
    """The colour of a state: ok, info, warning, error or off."""
    return _TONES.get(str(word), "off")


def size(count: Any) -> str:
    """Bytes for people; a dash where unknown."""
    return human(int(count)) if isinstance(count, (int, float)) and count >= 0 else "–"


def sizes(used: Any, total: Any) -> str:
    """How much of how much; the unit once where both have the same."""
    part, whole = size(used), size(total)
    return f"{part.partition(' ')[0] if part.split()[-1] == whole.split()[-1] else part} / {whole}"


def span(seconds: Any) -> str:
    """A time for people: `3d`, `7m`."""
    return _span(int(seconds)) if isinstance(seconds, (int, float)) else "–"


def rate(value: Any) -> str:
    """Tokens a second."""
    return f"{value:.1f}" if isinstance(value, (int, float)) else "–"


def clock(unix: Any) -> str:
    """A moment in the time zone of the panel."""
    if not isinstance(unix, (int, float)) or not 0 < unix < 1 << 40:
        return "–"
    moment = time.localtime(unix)
    today = time.strftime("%Y-%m-%d", moment) == time.strftime("%Y-%m-%d")
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M", moment)


def dig(value: Any, *path: str, default: Any = None) -> Any:
    """A value deep in what a host said, where every level may be missing or of another type."""
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return default
        value = value[name]
    return default if value is None else value


def rows_of(value: Any, *path: str) -> list[dict[str, Any]]:
    """The dictionaries of a list deep in what a host said."""
    found = dig(value, *path, default=()) if path else value
    return [item for item in found if isinstance(item, dict)] if isinstance(found, (list, tuple)) else []


def part(used: Any, total: Any) -> float | None:
    """A share from 0 to 1, None where it is not known."""
    good = isinstance(used, (int, float)) and isinstance(total, (int, float)) and total > 0
    return max(0.0, min(1.0, used / total)) if good else None
