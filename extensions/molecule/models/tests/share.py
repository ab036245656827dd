# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""share.py FOLDER PID TARGET - show a folder of this machine to a running host of the lab, as a mount.

An ordinary bind mount cannot cross mount namespaces; a detached copy of the mount can (open_tree(2), move_mount(2)).
"""

from __future__ import annotations

import ctypes
import os
import sys

OPEN_TREE, MOVE_MOUNT = 428, 429  # system calls, the same on all architectures
AT_FDCWD, CLONE, CLOEXEC, EMPTY_PATH = -100, 1, os.O_CLOEXEC, 4
CLONE_NEWNS = 0x00020000

libc = ctypes.CDLL(None, use_errno=True)


def call(*words: object) -> int:
    found = libc.syscall(*words)
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


def main(folder: str, pid: str, target: str) -> None:
    tree = call(OPEN_TREE, AT_FDCWD, folder.encode(), CLONE | CLOEXEC)
    space = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    if libc.setns(space, CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "setns")
    call(MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(), EMPTY_PATH)


if __name__ == "__main__":
    main(*sys.argv[1:])
