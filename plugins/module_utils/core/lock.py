# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer per runtime root."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from .errors import Busy, LlamaOpsError
from .tree import Tree

T = TypeVar("T")


@contextlib.contextmanager
def hold(tree: Tree, purpose: str, wait: float, file: str | None = None) -> Iterator[int]:
    """Hold the lock of a root, or of a part of it; yields its file descriptor.

    A child that inherits the descriptor keeps the lock: a compiler that outlives a killed run is waited for.

    :param purpose: what the holder does, shown to whoever waits.
    :param wait: seconds to wait for another holder.
    :param file: the lock of a part that is written apart from the rest, below `work/jobs`.
    :raises Busy: names the holder.
    """
    handle = os.open(file or tree.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(handle, tree, time.monotonic() + wait)
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(_me(purpose)).encode(), 0)
        try:
            yield handle
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def settled(tree: Tree, purpose: str, wait: float, look: Callable[[], T]) -> T:
    """What `look` finds at once; when it fails, what it finds as no other run is in the middle of a change.

    :raises Busy: the other run takes longer than `wait` seconds.
    """
    try:
        return look()
    except (LlamaOpsError, OSError):
        if not os.path.isdir(tree.root):
            raise
    with hold(tree, purpose, wait):
        return look()


def _take(handle: int, tree: Tree, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Busy(
                    f"{tree.root} is locked by {_holder(handle)}.", "Wait for it to end and run this again."
                ) from None
        time.sleep(0.2)


def _me(purpose: str) -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "purpose": purpose,
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _holder(handle: int) -> str:
    try:
        said = json.loads(os.pread(handle, 4096, 0).decode())
        who = f"process {said['pid']} ({said['purpose']}, since {said['since']})"
        alive = os.path.exists(f"/proc/{said['pid']}")
    except (ValueError, KeyError, TypeError):
        return "a process that did not say who it is"
    return who if alive else f"{who}; it ended, but a compiler or another child of it still runs"
