# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies below `models` and belongs to no recorded set: earlier revisions, downloads that nobody goes on with."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..build import builds
from ..errors import InvalidInput
from ..files import read_text, remove_file
from ..tree import Tree
from . import modelset, staging

_A_DAY = 24 * 3600.0


@dataclass(frozen=True)
class Unused:
    """A file that no set has: its path and size in bytes."""

    path: str
    size: int


def unused(tree: Tree, texts: Iterable[str]) -> list[Unused]:
    """The files below `models` that no recorded set has and no text names, by path.

    :param texts: units and whatever else may name a file; one that stands in any of them is kept.
    :raises InvalidInput: a record cannot be understood, so that nobody knows whose the files are.
    """
    known = {os.path.realpath(file.path) for found in _sets(tree) for file in found.files}
    said = list(texts)
    return [
        Unused(path, os.lstat(path).st_size)
        for path in _files(tree.models)
        if os.path.realpath(path) not in known and not _named(path, said)
    ]


def collect(tree: Tree, check: bool) -> list[Unused]:
    """Remove what no set has and no unit of this host names; with `check` only find it."""
    found = unused(tree, [read_text(path) or "" for path in builds.unit_files(tree)])
    if not check:
        remove(tree, found)
    return found


def remove(tree: Tree, found: Collection[Unused]) -> None:
    """Remove such files, and the folders they leave empty."""
    for item in found:
        remove_file(item.path)
        staging.prune(tree, os.path.dirname(item.path))


def usage(tree: Tree) -> dict[str, int]:
    """Bytes of every recorded set, by name; a file that two sets share counts for both."""
    return {found.name: found.size for found in modelset.load_all(tree)}


def _sets(tree: Tree) -> list[modelset.ModelSet]:
    found = modelset.load_all(tree)
    names = {item.name for item in found}
    for name in os.listdir(tree.sets) if os.path.isdir(tree.sets) else ():
        if name.endswith(".json") and name[: -len(".json")] not in names:
            raise InvalidInput(
                f"{os.path.join(tree.sets, name)} cannot be understood, so its files are not known.",
                "Bring that model again (gguf_model), or remove it (state: absent).",
            )
    return found


def _files(folder: str) -> list[str]:
    """Models and partial downloads, never anything else that somebody put there, and through no link."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".sets"]
        paths = [os.path.join(place, name) for name in names]
        found += [path for path in paths if path.endswith(".gguf") or _left(path)]
    return sorted(found)


def _left(path: str) -> bool:
    """Whether a file is a download that nobody went on with for a day."""
    return staging.is_part(os.path.basename(path)) and time.time() - os.lstat(path).st_mtime > _A_DAY


def _named(path: str, texts: list[str]) -> bool:
    return any(path in text or os.path.realpath(path) in text for text in texts)
