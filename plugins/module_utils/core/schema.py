# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schema numbers of what lies on hosts: an older document is brought up to date, a newer one refused and left alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from .errors import InvalidInput

KEY = "schema"
Step = Callable[[dict[str, Any]], dict[str, Any]]


def unnumbered(document: dict[str, Any]) -> dict[str, Any]:
    """From 0, before schemas were numbered, to 1: nothing else changed."""
    return document


OLDER: Mapping[int, Step] = {0: unnumbered}


def read(document: Any, newest: int, where: str, older: Mapping[int, Step] | None = None) -> dict[str, Any] | None:
    """A document in the schema `newest`; None when it is none of ours, or older than anybody can read.

    :param where: its path.
    :param older: by schema, what makes the next one of a document; `OLDER` by default. Nothing is
        written: the next writer does.
    :raises InvalidInput: it was written by a newer version of the collection.
    """
    older = OLDER if older is None else older
    if not isinstance(document, dict):
        return None
    number = document.get(KEY, 0)
    if not isinstance(number, int) or number < 0:
        return None
    check(number, newest, where)
    found: dict[str, Any] = {**document, KEY: number}
    for step in range(number, newest):
        if step not in older:
            return None
        found = {**older[step](found), KEY: step + 1}
    return found


def check(number: int, newest: int, where: str) -> None:
    """Refuse what a newer version of the collection wrote.

    :raises InvalidInput: with the way out.
    """
    if number > newest:
        raise InvalidInput(
            f"{where} has schema {number}, and this version of llamaops.llama_cpp knows {newest}. It is left alone.",
            "Update the collection on this controller to the version that wrote it: "
            "ansible-galaxy collection install --upgrade llamaops.llama_cpp",
        )
