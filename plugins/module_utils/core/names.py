# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that users choose, and the nearest known word to a mistyped one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from .errors import InvalidInput

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


def check_name(kind: str, name: object) -> str:
    """Return the name of an instance, model set, worker or key.

    :raises InvalidInput: it is not 1-40 lower case letters, digits and dashes, starting with a letter or digit.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot name a {kind}.",
            "Use 1 to 40 lower case letters, digits and dashes, starting with a letter or digit.",
        )
    return name


def nearest(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known words that look most like `word`, best first."""
    return difflib.get_close_matches(word, sorted(known), n=count, cutoff=0.5)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence that proposes the nearest known words; empty when nothing is near."""
    found = nearest(word, known)
    return f"Did you mean {' or '.join(found)}?" if found else ""


def check_keys(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse keys that nobody knows.

    :raises InvalidInput: names the key and the nearest known ones.
    """
    allowed = set(known)
    for key in given:
        if key not in allowed:
            hint = did_you_mean(str(key), allowed) or f"Known are: {', '.join(sorted(allowed))}."
            raise InvalidInput(f"{where} has no key {key!r}.", hint)
