# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which llama.cpp programs run on this host, known by their executable and never by a word in a command line.

Files and fields: proc(5).
"""

from __future__ import annotations

import os
import re
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
    found = (look(pid, proc) for pid in pids(proc))
    return [process for process in found if process]


def pids(proc: str = "/proc") -> Iterator[int]:
    """The ids of all processes, ascending."""
    yield from sorted(int(name) for name in os.listdir(proc) if name.isdigit())


def arguments(pid: int, proc: str = "/proc") -> tuple[str, ...]:
    """The command line of a process; empty when it is gone or a thread of the kernel. May hold secrets."""
    text = read(proc, pid, "cmdline")
    return tuple(text.rstrip("\0").split("\0")) if text else ()


def owner(pid: int, proc: str = "/proc") -> dict[str, str | None]:
    """`{command, unit}`: the short name of a program, and the service it belongs to; None where it cannot be seen."""
    return {"command": read(proc, pid, "comm").strip() or None, "unit": unit_of(pid, proc)}


def unit_of(pid: int, proc: str = "/proc") -> str | None:
    """The innermost systemd service or scope of a process (cgroup v1's name=systemd, or v2)."""
    for line in read(proc, pid, "cgroup").splitlines():
        _hierarchy, _colon, rest = line.partition(":")
        controllers, _colon, path = rest.partition(":")
        units = [part for part in path.split("/") if part.endswith((".service", ".scope"))]
        if units and controllers in ("name=systemd", ""):
            return units[-1]
    return None


def start_time(pid: int, proc: str = "/proc") -> int | None:
    """When a process started, in clock ticks after boot; None when it is gone."""
    # the name in parentheses may hold blanks and parentheses itself; field 22 is the 20th after it
    fields = read(proc, pid, "stat").rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 else None


def started_at(pid: int, proc: str = "/proc") -> float:
    """When a process started, in seconds since the epoch by the clock of now; 0 when it is gone."""
    ticks = start_time(pid, proc)
    booted = re.search(r"^btime (\d+)", read(proc, "", "stat"), re.M)
    return int(booted[1]) + ticks / os.sysconf("SC_CLK_TCK") if booted and ticks is not None else 0.0


def environment(pid: int, proc: str = "/proc") -> dict[str, str]:
    """The variables a process was started with; empty where they may not be read. May hold secrets."""
    pairs = [word.partition("=") for word in read(proc, pid, "environ").split("\0")]
    return {name: value for name, _equals, value in pairs if name}


def resident(pid: int, kind: str = "VmRSS", proc: str = "/proc") -> int:
    """Bytes of a process in memory; of `RssAnon` those that no file backs. 0 when it is gone."""
    found = re.search(rf"^{kind}:\s+(\d+) kB", read(proc, pid, "status"), re.M)
    return int(found[1]) << 10 if found else 0


def working_folder(pid: int, proc: str = "/proc") -> str | None:
    """The folder that its relative paths start from; None where it may not be seen."""
    try:
        return os.readlink(os.path.join(proc, str(pid), "cwd"))
    except OSError:
        return None


def look(pid: int, proc: str = "/proc") -> ServerProcess | None:
    """The llama.cpp program that a process runs; None when it is something else, or gone."""
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


def read(proc: str, pid: int | str, name: str) -> str:
    """A file of a process as text; empty when it is gone, or may not be read."""
    try:
        with open(os.path.join(proc, str(pid), name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
