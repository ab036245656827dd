# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""API keys by name: those that are given, and those that a host makes for itself."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping

from .. import files
from ..errors import InvalidInput
from ..names import check_name
from ..tree import Tree

BITS = 256


def path(tree: Tree, name: str) -> str:
    """The file of a key that this host made. Instances have files beside it, and no instance has this name."""
    return os.path.join(tree.keys, ".made", name)


def values(tree: Tree, given: Mapping[str, str], made: Iterable[str]) -> dict[str, str]:
    """The keys by name; one that is still to be made has a value that nobody will see again.

    :param given: values by name. :param made: names of keys that the host makes itself.
    :raises InvalidInput: a name is no name, or stands in both.
    """
    found = dict(given)
    for name in made:
        if check_name("key", name) in given:
            raise InvalidInput(f"The key {name!r} has a value and shall be made by the host.", "Choose one of both.")
        found[name] = (files.read_text(path(tree, name)) or "").strip() or secrets.token_urlsafe(BITS // 8)
    return found


def make(tree: Tree, made: Iterable[str]) -> None:
    """Write the keys that are missing, each to a file that its owner alone can read."""
    for name in made:
        file = path(tree, check_name("key", name))
        if not (files.read_text(file) or "").strip():
            os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
            files.write_text(file, secrets.token_urlsafe(BITS // 8) + "\n", 0o600)
