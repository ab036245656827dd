# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets in entries of instances: not shown, kept where an edit leaves them alone, taken from nobody. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..fleet.asking import HIDDEN, hidden

_LINE = re.compile(r"^([ +-][ \t]*(?:- )?[\"']?([A-Za-z0-9_.-]+)[\"']?[ \t]*[:=][ \t]*)(\S.*)$", re.M)


def shown(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with secrets left out, by the names that they have."""
    return {str(key): hidden(str(key), value) for key, value in fields.items()}


def restored(wanted: Any, before: Any) -> Any:
    """What an edit says, where it says `(hidden)` what was there before."""
    if isinstance(wanted, Mapping):
        held = before if isinstance(before, Mapping) else {}
        return {key: restored(value, held.get(key)) for key, value in wanted.items()}
    if isinstance(wanted, list):
        held_items = before if isinstance(before, list) else []
        return [restored(item, held_items[at] if at < len(held_items) else None) for at, item in enumerate(wanted)]
    return before if wanted == HIDDEN and before is not None else wanted


def secret(fields: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """The name of a secret that an edit brings in, empty if there is none."""
    for key, value in fields.items():
        held = before.get(key)
        if isinstance(value, Mapping):
            if found := secret(value, held if isinstance(held, Mapping) else {}):
                return found
        elif value != held and value != HIDDEN and hidden(str(key), value) == HIDDEN and not _a_path(value):
            return str(key)
    return ""


def _a_path(value: Any) -> bool:
    """A reference to a file is no secret."""
    return isinstance(value, str) and value.startswith(("/", "~/"))


def without(diff: str) -> str:
    """A diff whose lines do not show what stands beside the change."""
    return _LINE.sub(lambda line: line[1] + HIDDEN if hidden(line[2], line[3]) == HIDDEN else line[0], diff)
