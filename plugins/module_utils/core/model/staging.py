# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on their way to their final names: fetched beside them, proven, then moved."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from ..errors import Untrusted
from ..files import remove_file, sha256_of
from ..progress import Progress
from ..tree import Tree
from . import modelset
from .modelset import ModelSet
from .modelsource import Item

_PART = ".part-"
_AT_ONCE = 4  # files


def part_of(name: str, item: Item) -> str:
    """Where a file is until it is proven; the name says whose it is and which bytes it will have."""
    return os.path.join(os.path.dirname(item.path), f"{_PART}{name}.{item.sha256}")


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
    for _attempt in range(2):
        digest = item.get(part, moved)
        if digest == item.sha256:
            return
        remove_file(part)
    raise Untrusted(
        f"What came for {item.path} has the SHA-256 {digest}; {item.sha256} was promised.",
        "It was fetched twice. Check the source and the checksum; nothing of it was kept.",
    )


def is_there(item: Item, before: ModelSet | None, verify: bool) -> bool:
    """Whether the right bytes lie at their final place; a file that was proven and not touched is believed."""
    if not os.path.isfile(item.path) or (item.size and os.path.getsize(item.path) != item.size):
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


def settle(tree: Tree, source: str, path: str) -> None:
    """Move a proven file to its final place, with the rights of a model."""
    make_folder(tree, os.path.dirname(path))
    handle = os.open(source, os.O_RDONLY)
    try:
        os.fchmod(handle, 0o640 if tree.system else 0o644)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(source, path)


def make_folder(tree: Tree, path: str) -> None:
    """Create a folder below `models`; in the system scope it inherits the group of the readers."""
    if os.path.isdir(path):
        return
    make_folder(tree, os.path.dirname(path))
    os.mkdir(path)
    os.chmod(path, 0o2750 if tree.system else 0o755)


def forget_empty(tree: Tree, missing: dict[str, Item]) -> None:
    """Remove partial files that hold nothing, and the folders made for them."""
    for part in missing:
        if size_of(part) == 0:
            remove_file(part)
        prune(tree, os.path.dirname(part))


def sweep(folder: str, name: str) -> None:
    """Remove what this set no longer needs of what it began to fetch."""
    for found in os.listdir(folder) if os.path.isdir(folder) else ():
        if found.startswith(f"{_PART}{name}."):
            remove_file(os.path.join(folder, found))


def prune(tree: Tree, folder: str) -> None:
    """Remove a folder and its parents below `models` as long as they are empty."""
    while folder.startswith(tree.models + os.sep):
        try:
            os.rmdir(folder)
        except OSError:
            return
        folder = os.path.dirname(folder)
