# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in writable stores and belongs to no set: earlier revisions, downloads that nobody goes on with."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ..build import builds
from ..errors import InvalidInput
from ..files import read_text, remove_file
from ..tree import Tree
from . import modelset, staging
from .stores import Store, own

_A_DAY = 24 * 3600.0


@dataclass(frozen=True)
class Unused:
    """A file that no set has: its path and size in bytes."""

    path: str
    size: int


def unused(tree: Tree, texts: Iterable[str], stores: Sequence[Store] = ()) -> list[Unused]:
    """The files in these stores that no recorded set has and no text names, by path.

    :param texts: units and whatever else may name a file; one that stands in any of them is kept.
    :param stores: the folder of models of the runtime root, if empty.
    :raises InvalidInput: a record cannot be understood, so that nobody knows whose the files are.
    """
    kept = set(in_use(tree, texts, stores))
    paths = [path for store in stores or (own(tree),) for path in _files(store.path)]
    return [Unused(path, os.lstat(path).st_size) for path in paths if os.path.realpath(path) not in kept]


def in_use(tree: Tree, texts: Iterable[str], stores: Sequence[Store] = ()) -> list[str]:
    """The real paths of files that sets of this host have, and of those in these stores that a text names."""
    said = list(texts)
    paths = [path for store in stores or (own(tree),) for path in _files(store.path) if _named(path, said)]
    paths += [file.path for found in _sets(tree) for file in found.files]
    return sorted({os.path.realpath(path) for path in paths})


def collect(
    tree: Tree, check: bool, stores: Sequence[Store] = (), elsewhere: Collection[str] | None = None
) -> tuple[list[Unused], list[str]]:
    """Remove what no set has and no unit of this host names, with `check` only find it; and what this host uses.

    :param elsewhere: the paths that all other hosts use; without it, nothing goes from stores that they share.
    """
    texts = [read_text(path) or "" for path in builds.unit_files(tree)]
    places = stores or (own(tree),)
    mine = [store for store in places if store.writable and (not store.shared or elsewhere is not None)]
    found = [
        item
        for store in mine
        for item in unused(tree, texts, [store])
        if os.path.realpath(item.path) not in (elsewhere or ())
    ]
    for item in () if check else found:
        _remove(next(store for store in mine if item.path.startswith(store.path + os.sep)), item)
    return found, in_use(tree, texts, places)


def _remove(store: Store, item: Unused) -> None:
    """Remove such a file, and the folders it leaves empty."""
    remove_file(item.path)
    staging.prune(store, os.path.dirname(item.path))


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
    """Models and partial downloads, never anything else that somebody put there, and through no link.

    What a client of a hub keeps in a cache of its own is its.
    """
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".sets" and not name.startswith("models--")]
        paths = [os.path.join(place, name) for name in names]
        found += [path for path in paths if path.endswith(".gguf") or _left(path)]
    return sorted(found)


def _left(path: str) -> bool:
    """Whether a file is a download that nobody went on with for a day."""
    return staging.is_part(os.path.basename(path)) and time.time() - os.lstat(path).st_mtime > _A_DAY


def _named(path: str, texts: list[str]) -> bool:
    return any(path in text or os.path.realpath(path) in text for text in texts)
