# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts of others, made harmless: no escape sequences, no control characters, bounded. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

LIMIT = 16 << 10  # characters of one text
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")


def plain(value: Any, limit: int = LIMIT) -> str:
    """As text of several lines, at most `limit` characters and then how many were cut."""
    text = value if isinstance(value, str) else str(value)
    cut = text[: 4 * limit]
    kept = _ESCAPES.sub("", cut).replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in kept)
    if len(kept) > limit or len(cut) < len(text):
        shown = kept[:limit]
        return f"{shown}\n... {len(text) - len(shown)} more characters"
    return kept


def diff(found: Any, limit: int = LIMIT) -> str:
    """The differences of a task, as modules return them, as one unified diff."""
    parts = [_one(part) for part in (found if isinstance(found, list) else [found]) if isinstance(part, Mapping)]
    return plain("\n".join(part for part in parts if part), limit)


def _one(part: Mapping[str, Any]) -> str:
    if part.get("prepared"):
        return str(part["prepared"])
    before, after = (_lines(part.get(key)) for key in ("before", "after"))
    old, new = (str(part.get(f"{key}_header") or key) for key in ("before", "after"))
    return "\n".join(difflib.unified_diff(before, after, old, new, lineterm=""))


def _lines(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{key}: {value[key]}" for key in sorted(value, key=str)]
    return str(value if value is not None else "")[: 1 << 20].splitlines()
