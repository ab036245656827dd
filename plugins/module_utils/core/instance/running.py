# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the process of an instance what its files say?"""

from __future__ import annotations

import os
import time

from ..host import process
from .service import Status
from .unit import Launch


def matches(status: Status, wanted: Launch) -> bool:
    """Does a process run exactly this command, and was it started after its key file was written?"""
    argv = process.read("/proc", status.pid, "cmdline").split("\0")[:-1]
    if argv != list(wanted.command.argv):
        return False
    return not (wanted.key_file and older(status, written(wanted.key_file)))


def written(path: str) -> float:
    """When a file was written, in seconds since the epoch; 0 where there is none."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def older(status: Status, when: float) -> bool:
    """Did a process begin before a file was written? A time in the future is a clock that was set, and says nothing."""
    return 0 < status.started + 1 < when <= time.time()
