# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What served before a change, kept until the change is proven or taken back: a run that is killed loses nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from .. import files, schema
from ..tree import Tree

SCHEMA = 1


@dataclass(frozen=True)
class Previous:
    """The texts of a server that was at work: its unit, the files beside it by path, its keys and its presets."""

    unit: str
    beside: Mapping[str, str] = field(default_factory=dict)
    keys: str | None = None
    presets: str | None = None


def path(tree: Tree, name: str) -> str:
    """Where it is kept, for its owner alone and in no bundle for support: it holds keys."""
    return os.path.join(tree.instances, name, "previous")


def read(tree: Tree, name: str) -> Previous | None:
    """What is kept of an instance; None where no change is under way.

    :raises InvalidInput: a newer version of the collection wrote it.
    """
    found = schema.read(files.read_json(path(tree, name)), SCHEMA, path(tree, name))
    if not isinstance(found, dict) or not isinstance(found.get("unit"), str):
        return None
    return Previous(**{key: found[key] for key in Previous.__dataclass_fields__ if found.get(key) is not None})


def keep(tree: Tree, name: str, found: Previous) -> None:
    """Keep what serves now, unless a run that was cut off kept something: that is what was proven last."""
    if read(tree, name) is None:
        os.makedirs(os.path.dirname(path(tree, name)), exist_ok=True)
        files.write_json(path(tree, name), {"schema": SCHEMA, **asdict(found)}, 0o600)


def forget(tree: Tree, name: str) -> None:
    """The change is proven, taken back, or nobody wants the instance any more."""
    files.remove_file(path(tree, name))
