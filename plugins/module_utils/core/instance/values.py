# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of single values of an inventory. `where` begins every message: whose value it is.

All raise InvalidInput naming the key, what was found and what is possible.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Union

from ..errors import InvalidInput

AUTO = "auto"
FORCE = "force"
Number = Union[int, str]  # a number, or a word such as `auto`
SECRET_WORD = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)", re.IGNORECASE)
_ENV_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")


def choice(where: str, key: str, value: Any, allowed: Collection[str]) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise InvalidInput(f"{where}: {key} cannot be {value!r}.", f"Possible: {', '.join(allowed)}.")
    return value


def text(where: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise InvalidInput(f"{where}: {key} must be one line of text, not {value!r}.")
    return value


def path(where: str, key: str, value: Any) -> str:
    if not text(where, key, value).startswith("/"):
        raise InvalidInput(f"{where}: {key} must be an absolute path, not {value!r}.")
    return str(value)


def whole(where: str, key: str, value: Any, low: int, high: int, words: Sequence[str] = ()) -> Number:
    """A whole number, or one of the words."""
    if isinstance(value, str) and value in words:
        return value
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 20:
        value = int(value)  # a number from a template is text
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        also = f" or {' or '.join(words)}" if words else ""
        raise InvalidInput(f"{where}: {key} must be a whole number from {low} to {high}{also}, not {value!r}.")
    return value


def number(where: str, key: str, value: Any, low: int, high: int) -> int:
    return int(whole(where, key, value, low, high))


def fraction(where: str, key: str, value: Any, low: float = 0.0, high: float = 1.0) -> float:
    try:
        found = float(value) if not isinstance(value, bool) else high + 1
    except (TypeError, ValueError):
        found = high + 1
    if not low <= found <= high:
        raise InvalidInput(f"{where}: {key} must be a number from {low:g} to {high:g}, not {value!r}.")
    return found


def switch(where: str, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"{where}: {key} must be true or false, not {value!r}.")
    return value


def mapping(where: str, key: str, value: Any) -> dict[str, Any]:
    """A dictionary with text keys."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InvalidInput(f"{where}: {key} must be a dictionary, not {value!r}.")
    return dict(value)


def table(where: str, key: str, value: Any) -> dict[str, Any]:
    """A dictionary with text keys; its values that are None count as not given."""
    return {name: item for name, item in mapping(where, key, value).items() if item is not None}


def listed(where: str, key: str, value: Any) -> list[Any]:
    """A list, or one item alone."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


class Given:
    """The keys of one entry. A key that is not given, or None, gives the default."""

    def __init__(self, where: str, entry: Mapping[str, Any]) -> None:
        self.where = where
        self.entry = {key: value for key, value in entry.items() if value is not None}

    def __contains__(self, key: object) -> bool:
        return key in self.entry

    def get(self, key: str, default: Any = None) -> Any:
        return self.entry.get(key, default)

    def items(self, key: str) -> list[Any]:
        return listed(self.where, key, self.entry.get(key, ()))

    def whole(self, key: str, low: int, high: int, *words: str, default: Any = None) -> Any:
        return whole(self.where, key, self.entry[key], low, high, words) if key in self.entry else default

    def choice(self, key: str, allowed: Collection[str], default: Any = None) -> Any:
        return choice(self.where, key, self.entry[key], allowed) if key in self.entry else default

    def text(self, key: str, default: Any = None) -> Any:
        return text(self.where, key, self.entry[key]) if key in self.entry else default

    def path(self, key: str, default: Any = None) -> Any:
        return path(self.where, key, self.entry[key]) if key in self.entry else default

    def switch(self, key: str, default: Any = None, *words: str) -> Any:
        value = self.entry.get(key, default)
        return value if key not in self.entry or value in words else switch(self.where, key, value)


def env(where: str, value: Any) -> dict[str, str]:
    """Environment variables that may stand in a file everybody can read."""
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{where}: env must be a dictionary.")
    for key, item in value.items():
        if not isinstance(key, str) or not _ENV_NAME.fullmatch(key):
            raise InvalidInput(f"{where}: {key!r} cannot name an environment variable.")
        if SECRET_WORD.search(key):
            raise InvalidInput(
                f"{where}: env {key} looks like a secret, and unit files can be read by everybody.",
                "Use keys for API keys.",
            )
        if key.startswith("LLAMA_ARG_"):
            raise InvalidInput(f"{where}: env {key} would set a flag unseen.", "Use options, or the field.")
        text(where, f"env {key}", str(item))
    return {key: str(item) for key, item in value.items()}
