# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens on a TCP port that a server is to get."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Union

from ..instance.logreason import clean
from . import process

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
_LISTENING = "0A"
_NO_CLASH, _MAYBE, _CLASH = range(3)


@dataclass(frozen=True)
class Holder:
    """A listening socket and the process that has it.

    :param pid: None where the right to see it is missing; then `name` and `unit` are None too.
    :param name: the program, without its arguments.
    :param uid: the user the socket belongs to.
    """

    address: str
    port: int
    uid: int
    pid: int | None
    name: str | None
    unit: str | None


@dataclass(frozen=True)
class _Listener:
    address: Address
    uid: int
    inode: int


def holder(host: str, port: int, proc: str = "/proc") -> Holder | None:
    """Who listens where a server at `host`:`port` would, or None when it may have that port.

    :param host: an IP address; a wildcard clashes with every address, and a name counts as a wildcard.
    """
    wanted = _address(host)
    clashes = [(_clash(wanted, found.address), found) for found in _listeners(port, proc)]
    degree, found = max(clashes, key=lambda clash: clash[0], default=(_NO_CLASH, None))
    if found is None or degree == _NO_CLASH or (degree == _MAYBE and _can_bind(wanted, port)):
        return None
    pid = _owner(found.inode, proc)
    if pid is None:
        return Holder(str(found.address), port, found.uid, None, None, None)
    return Holder(str(found.address), port, found.uid, pid, _name(pid, proc), process.unit_of(pid, proc))


def describe(found: Holder) -> str:
    """The holder in words: `process 812 (nginx, nginx.service)`; never its arguments, which may hold secrets."""
    if found.pid is None:
        return f"a process of the user with id {found.uid} (listening on {found.address})"
    marks = ", ".join(mark for mark in (found.name, found.unit) if mark)
    return f"process {found.pid} ({marks})" if marks else f"process {found.pid}"


def _address(host: str) -> Address:
    if host == "localhost":
        return ipaddress.IPv4Address("127.0.0.1")
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return ipaddress.IPv6Address("::")


def _clash(wanted: Address, listening: Address) -> int:
    """How surely a bind to `wanted` fails beside a listener; `::` takes IPv4 too (ipv6(7), IPV6_V6ONLY is off)."""
    if wanted.version == listening.version:
        wildcard = wanted.is_unspecified or listening.is_unspecified
        return _CLASH if wildcard or wanted == listening else _NO_CLASH
    if wanted.version == 6:
        return _CLASH if wanted.is_unspecified else _NO_CLASH
    # whether the listener on :: leaves IPv4 to others cannot be read from /proc
    return _MAYBE if listening.is_unspecified else _NO_CLASH


def _can_bind(address: Address, port: int) -> bool:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((str(address), port))
        except OSError:
            return False
    return True


def _listeners(port: int, proc: str) -> Iterator[_Listener]:
    """Rows of /proc/net/tcp and tcp6 (proc(5)): field 1 address:port, 3 state, 7 user, 9 inode."""
    for name in ("tcp", "tcp6"):
        try:
            with open(os.path.join(proc, "net", name), encoding="ascii", errors="replace") as file:
                rows = [line.split() for line in file]
        except OSError:
            continue  # a kernel without IPv6
        for row in rows[1:]:
            address, _colon, number = row[1].partition(":")
            if row[3] == _LISTENING and int(number, 16) == port:
                yield _Listener(_decode(address), int(row[7]), int(row[9]))


def _decode(text: str) -> Address:
    """Groups of four bytes, each printed as a number of this machine's byte order."""
    groups = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    address = ipaddress.ip_address(b"".join(group.to_bytes(4, sys.byteorder) for group in groups))
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _owner(inode: int, proc: str) -> int | None:
    """The first process with this socket; None where none may be seen."""
    wanted = f"socket:[{inode}]"
    for pid in process.pids(proc):
        folder = os.path.join(proc, str(pid), "fd")
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        if any(_link(os.path.join(folder, name)) == wanted for name in names):
            return pid
    return None


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _name(pid: int, proc: str) -> str | None:
    # a program may write its whole title, arguments and all, into its first argument
    words = (process.arguments(pid, proc) or ("",))[0].split()
    return clean(os.path.basename(words[0]).rstrip(":"), 40) if words else None
