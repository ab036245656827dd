# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""To whom a process belongs besides its service: its user, its terminal, its container.

Files and fields: proc(5), namespaces(7).
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterable
from dataclasses import dataclass

from . import process

# folders that container runtimes make in the tree of control groups
_CONTAINER = re.compile(
    r"/((?:docker|libpod|crio|cri-containerd|lxc)[-/:][^/]+|lxc\.payload[^/]*|kubepods[^/]*|machine-[^/]+\.scope)(?:/|$)"
)
_PTS = range(136, 144)  # major numbers of pseudo terminals
_CONSOLE = 4


@dataclass(frozen=True)
class Belonging:
    """The surroundings of a process.

    :param uid: its effective user, `user` that one's name, or the number as text where it has none here.
    :param parent: the process that started it, or that inherited it.
    :param terminal: its controlling terminal, such as `pts/3`: it gets SIGHUP when that closes.
    :param container: what is known of the container it runs in; None when it runs in none.
    """

    uid: int
    user: str
    parent: int
    terminal: str | None
    container: str | None


def of(pid: int, proc: str = "/proc") -> Belonging | None:
    """The surroundings of a process; None when it is gone."""
    fields = process.read(proc, pid, "stat").rpartition(")")[2].split()
    uids = re.search(r"^Uid:\s+\d+\s+(\d+)", process.read(proc, pid, "status"), re.M)
    if len(fields) < 5 or not uids:
        return None
    uid = int(uids[1])
    return Belonging(uid, user_name(uid), int(fields[1]), _terminal(int(fields[4])), _container(pid, proc))


def descendants(pid: int, proc: str = "/proc") -> list[int]:
    """A process and all that it started, by ascending id."""
    parents = {other: _parent(other, proc) for other in process.pids(proc)}
    found, more = {pid}, {pid}
    while more:
        more = {other for other, parent in parents.items() if parent in more} - found
        found |= more
    return sorted(found)


def outermost(pids: Iterable[int], proc: str = "/proc") -> list[int]:
    """Those processes whose parent is not among them: a router without the servers it started."""
    known = set(pids)
    return sorted(pid for pid in known if _parent(pid, proc) not in known)


def user_name(uid: int) -> str:
    """The name of a user, or its number as text."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _parent(pid: int, proc: str) -> int:
    fields = process.read(proc, pid, "stat").rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _terminal(number: int) -> str | None:
    """The device number of field 7 of stat as a name."""
    if not number:
        return None
    major, minor = (number >> 8) & 0xFFF, (number & 0xFF) | ((number >> 12) & 0xFFF00)
    if major in _PTS:
        return f"pts/{minor + (major - _PTS[0]) * 256}"
    return f"tty{minor}" if major == _CONSOLE else f"{major}:{minor}"


def _container(pid: int, proc: str) -> str | None:
    found = _CONTAINER.search(process.read(proc, pid, "cgroup").replace("\n", "/\n"))
    if found:
        return found[1]
    theirs, ours = (_namespace(who, proc) for who in (str(pid), "self"))
    return "another PID namespace" if theirs and ours and theirs != ours else None


def _namespace(who: str, proc: str) -> str | None:
    try:
        return os.readlink(os.path.join(proc, who, "ns", "pid"))
    except OSError:
        return None
