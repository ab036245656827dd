# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which llama.cpp programs run on this host, known by their executable and never by a word in a command line.

Files and fields: proc(5).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

TOOLS = ("llama-server", "llama-bench", "ggml-rpc-server", "rpc-server", "llama")
_DELETED = " (deleted)"


@dataclass(frozen=True)
class ServerProcess:
    """A running llama.cpp program.

    :param start_time: clock ticks after boot; with `pid` it names one process for ever.
    :param exe: absolute path of the executable, None where only its owner may see it.
    :param tool: the program, one of `TOOLS`.
    :param argv: may hold secrets; not for results or logs.
    :param unit: the systemd service or scope it belongs to.
    """

    pid: int
    start_time: int
    exe: str | None
    tool: str
    argv: tuple[str, ...] = field(repr=False)
    unit: str | None


def find_servers(proc: str = "/proc") -> list[ServerProcess]:
    """All llama.cpp programs that run, by ascending pid."""
    found = (_look(pid, proc) for pid in pids(proc))
    return [process for process in found if process]


def pids(proc: str = "/proc") -> Iterator[int]:
    """The ids of all processes, ascending."""
    yield from sorted(int(name) for name in os.listdir(proc) if name.isdigit())


def arguments(pid: int, proc: str = "/proc") -> tuple[str, ...]:
    """The command line of a process; empty when it is gone or a thread of the kernel. May hold secrets."""
    text = _read(proc, pid, "cmdline")
    return tuple(text.rstrip("\0").split("\0")) if text else ()


def owner(pid: int, proc: str = "/proc") -> dict[str, str | None]:
    """`{command, unit}`: the short name of a program, and the service it belongs to; None where it cannot be seen."""
    return {"command": _read(proc, pid, "comm").strip() or None, "unit": unit_of(pid, proc)}


def unit_of(pid: int, proc: str = "/proc") -> str | None:
    """The innermost systemd service or scope of a process (cgroup v1's name=systemd, or v2)."""
    for line in _read(proc, pid, "cgroup").splitlines():
        _hierarchy, _colon, rest = line.partition(":")
        controllers, _colon, path = rest.partition(":")
        units = [part for part in path.split("/") if part.endswith((".service", ".scope"))]
        if units and controllers in ("name=systemd", ""):
            return units[-1]
    return None


def start_time(pid: int, proc: str = "/proc") -> int | None:
    """When a process started, in clock ticks after boot; None when it is gone."""
    # the name in parentheses may hold blanks and parentheses itself; field 22 is the 20th after it
    fields = _read(proc, pid, "stat").rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 else None


def _look(pid: int, proc: str) -> ServerProcess | None:
    try:
        exe: str | None = os.readlink(os.path.join(proc, str(pid), "exe"))
    except OSError:
        exe = None
    argv = arguments(pid, proc)
    if exe and exe.endswith(_DELETED):
        exe = exe[: -len(_DELETED)]
    tool = os.path.basename(exe or (argv[0] if argv else ""))
    started = start_time(pid, proc) if tool in TOOLS else None
    if started is None:
        return None
    return ServerProcess(pid, started, exe, tool, argv, unit_of(pid, proc))


def _read(proc: str, pid: int, name: str) -> str:
    try:
        with open(os.path.join(proc, str(pid), name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
