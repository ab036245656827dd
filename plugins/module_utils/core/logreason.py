# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a llama.cpp program did not start, in the words of a person."""

from __future__ import annotations

import signal
import unicodedata

_LONGEST = 300

_SIGNALS = {
    signal.SIGABRT: "it aborted: a failed assertion, a lost RPC worker or a device error",
    signal.SIGBUS: "bus error: a file it had mapped became shorter or unreadable",
    signal.SIGILL: "illegal instruction: the build uses CPU instructions this host does not have",
    signal.SIGINT: "it was interrupted",
    signal.SIGKILL: "it was killed, mostly by the kernel or a memory limit for want of memory",
    signal.SIGPIPE: "broken pipe: a peer went away while it was writing",
    signal.SIGSEGV: "segmentation fault: a defect of the program or its driver",
    signal.SIGTERM: "it was asked to stop before it was ready",
}
_STATUSES = {
    0: "it ended without reporting an error",
    1: "it reported an error",
    78: "its configuration is wrong",
    126: "the program may not be executed",
    127: "a shared library or the program itself is missing",
    # systemd.exec(5), "Process Exit Codes"
    200: "systemd could not enter the working directory",
    203: "systemd could not execute the program: it is missing, not executable or made for another machine",
    216: "systemd could not set the group",
    217: "systemd could not find or set the user",
    226: "systemd could not set up the mount namespace: a path the unit names is missing",
    243: "systemd could not load the credentials: a key file is missing or unreadable",
}


def exit_meaning(status: int) -> str:
    """What an exit status says; a negative one, or one of 129 to 192, stands for a signal."""
    if status in _STATUSES:
        return f"{_STATUSES[status]} (status {status})"
    number = -status if status < 0 else status - 128
    try:
        ended_by = signal.Signals(number)
    except ValueError:
        return f"it ended with status {status}"
    return f"{_SIGNALS.get(ended_by, 'it was ended by a signal')} ({ended_by.name})"


def clean(text: str, limit: int = _LONGEST) -> str:
    """One line of at most `limit` characters without control characters; the text comes from elsewhere."""
    visible = "".join(" " if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char for char in text)
    line = " ".join(visible.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
