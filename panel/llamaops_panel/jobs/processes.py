# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes by pid and start time, so that a number that the kernel gave to another one is never mistaken for it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host import process


@dataclass(frozen=True)
class Identity:
    """A process of this boot; `start` in ticks of the kernel."""

    pid: int
    start: int
    boot: str = ""

    @property
    def alive(self) -> bool:
        """Does it run? A process that ended and was not yet collected does not."""
        return process.start_time(self.pid) == self.start and self.boot in ("", boot()) and _state(self.pid) != "Z"


def boot() -> str:
    """What changes when the machine starts again."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def claim(path: Path) -> bool:
    """Write down that this process has the job; False when another one was first."""
    me = {"pid": os.getpid(), "start": process.start_time(os.getpid()), "boot": boot()}
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(me), encoding="ascii")
    try:
        os.link(temporary, path)  # complete at once, and never over another one
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def claimed(path: Path) -> Identity | None:
    """Who has the job; None when nobody took it."""
    try:
        found = json.loads(path.read_text(encoding="ascii"))
        return Identity(int(found["pid"]), int(found["start"]), str(found["boot"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def below(pid: int) -> list[Identity]:
    """All processes that descend from this one, without it. Daemons that left it are not among them."""
    parents: dict[int, list[int]] = {}
    for each in process.pids():
        parents.setdefault(_parent(each), []).append(each)
    found, todo = [], list(parents.get(pid, ()))
    while todo:
        each = todo.pop(0)
        todo += parents.get(each, ())
        start = process.start_time(each)
        if start is not None:
            found.append(Identity(each, start))
    return found


def terminate(found: Iterable[Identity]) -> None:
    """SIGTERM to the group of the first one: Ansible passes it on to its workers, which end what they run."""
    first = next(iter(found), None)
    if first is not None and first.alive:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(os.getpgid(first.pid), signal.SIGTERM)


def kill(found: Iterable[Identity]) -> None:
    """SIGKILL to each that still runs."""
    for each in found:
        if each.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)


def _parent(pid: int) -> int:
    fields = process.read("/proc", pid, "stat").rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _state(pid: int) -> str:
    return (process.read("/proc", pid, "stat").rpartition(")")[2].split() or ["Z"])[0]
