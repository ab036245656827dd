# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where model files may lie: folders that are searched in order, of which the first writable one takes downloads.

A store is laid out like `<root>/models` (`<owner>/<repo>/<file>`), or is the cache of a Hugging Face client. A shared
store is one that other hosts see too: nothing in it is locked, replaced or removed by a host alone, so a new revision
gets a folder of its own, `<owner>/<repo>@<commit>`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput, MissingTool
from ..files import read_text
from ..names import check_keys
from ..tree import SAFE_PATH, Tree
from .modelchoice import Entry

FIELDS = ("path", "mode", "shared", "require_mount")
_COMMIT, _DIGEST = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Store:
    """One folder of models. `mount`: what must be a mount point before it is used, or "".

    `private`: only the group of model readers may read it, as in the runtime root of the system scope. `owner`: what
    tells this host's unfinished files from those of others in a shared store; "" elsewhere.
    """

    path: str
    writable: bool = False
    shared: bool = False
    mount: str = ""
    private: bool = False
    owner: str = ""


def own(tree: Tree) -> Store:
    """The folder of models of the runtime root."""
    return Store(tree.models, writable=True, private=tree.system)


def read(tree: Tree, entries: Iterable[Mapping[str, Any]]) -> tuple[Store, ...]:
    """The stores of a host in the order of search; the runtime root's own folder is the last one if it is not named.

    :raises InvalidInput: an entry is wrong; says what was found and what is possible.
    """
    found = [_store(tree, entry) for entry in entries]
    paths = [store.path for store in found]
    if len(set(paths)) < len(paths):
        raise InvalidInput(f"The stores name {max(paths, key=paths.count)} twice.", "Name every store once.")
    return tuple(found if tree.models in paths else [*found, own(tree)])


def target(stores: Sequence[Store]) -> Store:
    """The store that takes downloads.

    :raises InvalidInput: none is writable.
    """
    for store in stores:
        if store.writable:
            return store
    raise InvalidInput("No store of this host is writable.", "Give one of them mode: rw.")


def check(stores: Iterable[Store]) -> None:
    """Make sure that the stores can be used.

    :raises MissingTool: a store that must be mounted is not, or one that is only read is not there.
    """
    for store in stores:
        if store.mount and not os.path.ismount(os.path.realpath(store.mount)):
            raise MissingTool(
                f"{store.mount} is not mounted, so the store {store.path} is not used.",
                "Mount it, or take require_mount away if the folder belongs to this disk.",
            )
        if not store.writable and not os.path.isdir(store.path):
            raise MissingTool(
                f"The store {store.path} is not there.", "Mount or make it, or take it out of the stores."
            )


def names(home: str, inner: str, revision: str | None) -> tuple[str, ...]:
    """What a file may be called below a store, the usual name first.

    :param home: `owner/repo`, or what stands for it. :param inner: the path in the repository.
    """
    usual = f"{home}/{inner}"
    if not revision:
        return (usual,)
    cached = f"models--{home.replace('/', '--')}/snapshots/{revision}/{inner}"
    return usual, f"{home}@{revision[:12]}/{inner}", cached


def name_in(store: Store, names: Sequence[str]) -> str:
    """The name under which a file is brought into a store."""
    return names[1] if store.shared and len(names) > 1 else names[0]


def cached_listing(stores: Iterable[Store], repo: str, revision: str | None) -> tuple[str, list[Entry]] | None:
    """Commit and files of a revision as the cache of a hub's client has them, without asking the hub.

    Files whose SHA-256 the cache does not know are left out.
    """
    for store in stores:
        folder = os.path.join(store.path, f"models--{repo.replace('/', '--')}")
        commit = revision or "main"
        if not _COMMIT.fullmatch(commit):
            commit = (read_text(os.path.join(folder, "refs", *commit.split("/"))) or "").strip()
        snapshot = os.path.join(folder, "snapshots", commit)
        if _COMMIT.fullmatch(commit) and os.path.isdir(snapshot):
            return commit, _snapshot(snapshot)
    return None


def _snapshot(folder: str) -> list[Entry]:
    found = []
    for place, _folders, files in os.walk(folder):
        for path in (os.path.join(place, name) for name in files):
            digest = os.path.basename(os.path.realpath(path))
            if _DIGEST.fullmatch(digest) and os.path.isfile(path):
                found.append(Entry(os.path.relpath(path, folder), os.path.getsize(path), digest))
    return sorted(found, key=lambda entry: entry.path)


def _store(tree: Tree, entry: Mapping[str, Any]) -> Store:
    check_keys("A store", entry, FIELDS)
    path = os.path.normpath(str(entry.get("path") or ""))
    if not SAFE_PATH.fullmatch(path):
        raise InvalidInput(
            f"{entry.get('path')!r} cannot be a store.", "Give an absolute path of letters, digits and ._+@-."
        )
    mode = entry.get("mode") or "ro"
    if mode not in ("ro", "rw"):
        raise InvalidInput(f"The store {path} has the mode {mode!r}.", "Use ro or rw.")
    shared = bool(entry.get("shared"))
    mount = _mount(path, entry.get("require_mount"))
    private = path == tree.models and tree.system
    return Store(path, mode == "rw", shared, mount, private, _me(tree) if shared else "")


def _mount(path: str, wanted: object) -> str:
    """The mount point a store needs: its path, or the folder that is named, which it must lie in."""
    if wanted in (None, False, "", "false", "no", "False"):
        return ""
    if wanted in (True, "true", "yes", "True"):
        return path
    mount = os.path.normpath(str(wanted))
    if not SAFE_PATH.fullmatch(mount) or not f"{path}/".startswith(f"{mount}/"):
        raise InvalidInput(
            f"The store {path} has require_mount {wanted!r}.", "Use true for the path itself, or a folder above it."
        )
    return mount


def _me(tree: Tree) -> str:
    """A name for this runtime root that no other host has."""
    machine = (read_text("/etc/machine-id") or "").strip()
    return hashlib.sha256(f"{machine} {os.uname().nodename} {tree.root}".encode()).hexdigest()[:8]
