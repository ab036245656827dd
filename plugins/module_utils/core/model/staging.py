# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on their way to their final names: fetched beside them, proven, then moved."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace

from ..errors import Untrusted
from ..files import remove_file, sha256_of
from ..progress import Progress
from . import modelset
from .modelset import ModelSet
from .modelsource import Item
from .stores import Store

_PART = ".part-"
_AT_ONCE = 4  # files


def part_of(name: str, item: Item, store: Store) -> str:
    """Where a file is until it is proven; the name says whose it is and which bytes it will have."""
    owner = f".{store.owner}" if store.owner else ""
    return os.path.join(os.path.dirname(item.path), f"{_PART}{name}.{item.sha256}{owner}")


def is_part(name: str) -> bool:
    """Whether a file of this name is a download that is not proven yet."""
    return name.startswith(_PART)


def fetch_all(missing: dict[str, Item], progress: Progress) -> None:
    """Fetch files, several at once. When one fails the others stop, and keep what they have."""
    stop = threading.Event()

    def moved(count: int) -> None:
        if stop.is_set():
            raise _Stopped
        progress.moved(count)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        jobs = [pool.submit(_fetch_one, item, part, moved) for part, item in missing.items()]
        try:
            done, _others = wait(jobs, return_when=FIRST_EXCEPTION)
            failed = [job for job in done if job.exception()]
        finally:
            stop.set()
    for job in failed:
        job.result()


class _Stopped(Exception):
    """Another file of the set failed."""


def _fetch_one(item: Item, part: str, moved: Callable[[int], None]) -> None:
    """Have the right bytes in `part`. Wrong ones are thrown away and fetched once more, this file alone."""
    for get in (item.get, item.origin):
        digest = get(part, moved)
        if digest == item.sha256:
            return
        remove_file(part)
    raise Untrusted(
        f"What came for {item.path} has the SHA-256 {digest}; {item.sha256} was promised.",
        "It was fetched twice. Check the source and the checksum; nothing of it was kept.",
    )


def place(
    wanted: Sequence[Item], known: ModelSet | None, verify: bool, stores: Sequence[Store]
) -> tuple[list[Item], list[Item]]:
    """The files with the paths at which they lie or will lie, and those of them that must be fetched.

    The files of one role are used from the first store that has all of them, for the shards of a model must lie beside
    each other. Else they belong where `wanted` says, and what lies there already is kept.
    """
    placed, missing = [], []
    for role in dict.fromkeys(item.role for item in wanted):
        group = [item for item in wanted if item.role == role]
        found = _stored(group, known, verify, stores)
        placed += found or group
        missing += [] if found else [item for item in group if not is_there(item, known, verify)]
    return placed, missing


def _stored(group: list[Item], known: ModelSet | None, verify: bool, stores: Sequence[Store]) -> list[Item] | None:
    """These files in the first store that has all of them, other than the one they would be brought to."""
    for store in stores:
        for way in range(len(group[0].names)):
            found = [replace(item, path=os.path.join(store.path, item.names[way])) for item in group]
            if found == group or not all(_may_be(item) for item in found):
                continue
            if all(is_there(item, known, verify) for item in found):
                return found
    return None


def _may_be(item: Item) -> bool:
    return os.path.isfile(item.path) and item.size in (0, os.path.getsize(item.path))


def is_there(item: Item, before: ModelSet | None, verify: bool) -> bool:
    """Whether the right bytes lie at their final place; a file that was proven and not touched is believed."""
    if not _may_be(item):
        return False
    known = {file.path: file for file in before.files} if before and not verify else {}
    if item.path in known and modelset.look(item.path, item.sha256, known[item.path].role) == known[item.path]:
        return True
    return sha256_of(item.path) == item.sha256


def size_of(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


def settle(store: Store, source: str, path: str) -> None:
    """Move a proven file to its final place, with the rights of a model."""
    make_folder(store, os.path.dirname(path))
    handle = os.open(source, os.O_RDONLY)
    try:
        os.fchmod(handle, 0o640 if store.private else 0o644)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(source, path)


def make_folder(store: Store, path: str) -> None:
    """Create a folder in a store; a private one inherits the group of the readers."""
    if os.path.isdir(path):
        return
    make_folder(store, os.path.dirname(path))
    with contextlib.suppress(FileExistsError):  # another host made it
        os.mkdir(path)
        os.chmod(path, 0o2750 if store.private else 0o755)


def forget_empty(store: Store, parts: Iterable[str]) -> None:
    """Remove partial files that hold nothing, and the folders made for them."""
    for part in parts:
        if size_of(part) == 0:
            remove_file(part)
        prune(store, os.path.dirname(part))


def sweep(store: Store, folder: str, name: str) -> None:
    """Remove what this set no longer needs of what this host began to fetch into a folder of the store."""
    if not os.path.isdir(folder) or not f"{folder}/".startswith(f"{store.path}/"):
        return
    for found in os.listdir(folder):
        if found.startswith(f"{_PART}{name}.") and found.endswith(store.owner):
            remove_file(os.path.join(folder, found))


def prune(store: Store, folder: str) -> None:
    """Remove a folder and its parents below a store as long as they are empty."""
    while folder.startswith(store.path + os.sep):
        try:
            os.rmdir(folder)
        except OSError:
            return
        folder = os.path.dirname(folder)
