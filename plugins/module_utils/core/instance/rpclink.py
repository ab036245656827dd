# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connections between a head and its workers, which llama.cpp neither watches nor gives up.

One file of the standard library, installed as `<root>/libexec/llama-rpc-link`. Units call it, and people may:

    llama-rpc-link await --wait SECONDS ENDPOINT...    wait until every worker takes connections
    llama-rpc-link keep --pid PID [--wait SECONDS]     have the kernel end connections whose other side is gone
    llama-rpc-link look UNIT ENDPOINT...               end a head whose worker is lost, so that it is started anew
    llama-rpc-link clean FOLDER BYTES                  remove the tensors that were not used for longest

An endpoint is HOST:PORT. A worker serves one client and waits for its next word for ever: a head that lost power would
keep it occupied, and a head waits as patiently for a worker that is cut off. Neither sets a timeout on its sockets, so
`keep` does it for them (pidfd_getfd(2), tcp(7)); a socket that was accepted inherits those of the one that listens.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import socket
import stat
import subprocess
import sys
import time

LOST_AFTER = 30  # seconds of silence in which not even the kernel of the other host answers
PROBES = 3
PIDFD_GETFD = 438  # number of the system call, the same on all architectures
ESTABLISHED, LISTENING = "01", "0A"  # states in /proc/net/tcp


def await_workers(endpoints: list[str], seconds: float, pause: float = 1.0) -> list[str]:
    """Connect once to each worker and leave; returns those that took no connection in time.

    One that serves another client lets a connection wait, and answers nothing: only that it is there is asked.
    """
    deadline, left = time.monotonic() + seconds, list(endpoints)
    while True:
        left = [endpoint for endpoint in left if not _takes(endpoint)]
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(pause)


def keep(pid: int, lost_after: float = LOST_AFTER) -> int:
    """Set timeouts on the TCP sockets of a process; returns how many there are."""
    every = max(int(lost_after / (2 * PROBES)), 1)
    wanted = (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(int(lost_after / 2), 1)),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, every),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(lost_after * 1000)),  # what was sent and not acknowledged
    )
    count = 0
    for found in _sockets(pid):
        with found:
            if found.type == socket.SOCK_STREAM and found.family in (socket.AF_INET, socket.AF_INET6):
                for option in wanted:
                    found.setsockopt(*option)
                count += 1
    return count


def lost(endpoints: list[str], proc: str = "/proc") -> list[str]:
    """The workers to which this host has no open connection."""
    there = {(address, port) for address, port, state in _connections(proc) if state == ESTABLISHED}
    return [endpoint for endpoint in endpoints if _split(endpoint) not in there]


def clean(folder: str, quota: int) -> tuple[int, int]:
    """Remove files of a folder, the longest unused first, until `quota` bytes are left; returns (files, bytes) removed.

    Whoever owns the folder may put anything there: no link is followed and no folder entered.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return 0, 0
    try:
        found = []
        for name in os.listdir(handle):
            facts = os.stat(name, dir_fd=handle, follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode):
                continue
            found.append((max(facts.st_atime, facts.st_mtime), facts.st_blocks * 512, name))
        size, files, freed = sum(each[1] for each in found), 0, 0
        for _used, blocks, name in sorted(found):
            if size - freed <= quota:
                break
            os.unlink(name, dir_fd=handle)
            files, freed = files + 1, freed + blocks
        return files, freed
    finally:
        os.close(handle)


def _takes(endpoint: str) -> bool:
    try:
        socket.create_connection(_split(endpoint), timeout=2).close()
    except OSError:
        return False
    return True


def _split(endpoint: str) -> tuple[str, int]:
    host, _colon, port = endpoint.rpartition(":")
    return host.strip("[]"), int(port)


def _sockets(pid: int) -> list[socket.socket]:
    """Copies of the sockets of another process; setting an option of a copy sets that of the original."""
    libc, found = ctypes.CDLL(None, use_errno=True), []
    process = os.pidfd_open(pid)
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                continue
            copy = libc.syscall(PIDFD_GETFD, process, int(name), 0)
            if copy < 0:
                raise OSError(ctypes.get_errno(), f"pidfd_getfd: {os.strerror(ctypes.get_errno())}")
            found.append(socket.socket(fileno=copy))
    finally:
        os.close(process)
    return found


def _connections(proc: str) -> list[tuple[str, int, str]]:
    """Address and port of the other side, and state, of every TCP connection (proc(5), proc_net_tcp)."""
    found = []
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        try:
            with open(os.path.join(proc, "net", name), encoding="ascii", errors="replace") as file:
                rows = [line.split() for line in file][1:]
        except OSError:
            continue  # a kernel without IPv6
        for row in rows:
            address, _colon, port = row[2].partition(":")
            words = re.findall("." * 8, address)  # each is a number of this machine's byte order
            packed = b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)
            text = socket.inet_ntop(family, packed)
            found.append((text[7:] if text.startswith("::ffff:") and "." in text else text, int(port, 16), row[3]))
    return found


def _listens(pid: int, seconds: float) -> bool:
    """Wait until a process has a listening socket; False when it is gone or the time is over."""
    deadline = time.monotonic() + seconds
    while os.path.exists(f"/proc/{pid}"):
        try:
            copies = _sockets(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it opens and closes files while we look, or ended
        ready = any(_is_listening(each) for each in copies)
        for each in copies:
            each.close()
        if ready or time.monotonic() >= deadline:
            return ready
        time.sleep(0.1)
    return False


def _is_listening(found: socket.socket) -> bool:
    return bool(found.family != socket.AF_UNIX and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _systemctl(*words: str) -> str:
    done = subprocess.run(  # pylint: disable=ansible-bad-function  # no AnsibleModule is anywhere near
        ["systemctl", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=30, check=False
    )
    return done.stdout.strip()


def _look(unit: str, endpoints: list[str]) -> str:
    """End a head that serves and has lost a worker; its manager starts it again."""
    before = _systemctl("show", unit, "--property=ActiveState,MainPID")
    gone = lost(endpoints)
    if "ActiveState=active" not in before or not gone:
        return ""
    if _systemctl("show", unit, "--property=ActiveState,MainPID") != before:
        return ""
    _systemctl("kill", "--signal=SIGKILL", unit)
    return f"{unit} was ended, for it has lost its workers {', '.join(gone)}; it starts again when they are there."


def main() -> int:
    parser = argparse.ArgumentParser(description="Watch the connections between a head and its RPC workers.")
    parts = parser.add_subparsers(dest="what", required=True)
    wait = parts.add_parser("await")
    wait.add_argument("--wait", type=float, default=120.0)
    wait.add_argument("endpoints", nargs="+")
    kept = parts.add_parser("keep")
    kept.add_argument("--pid", type=int, required=True)
    kept.add_argument("--wait", type=float, help="first wait until it listens")
    looked = parts.add_parser("look")
    looked.add_argument("unit")
    looked.add_argument("endpoints", nargs="+")
    cleaned = parts.add_parser("clean")
    cleaned.add_argument("folder")
    cleaned.add_argument("quota", type=int)
    return _run(parser.parse_args())


def _run(wanted: argparse.Namespace) -> int:
    said, failed = "", False
    if wanted.what == "await":
        missing = await_workers(wanted.endpoints, wanted.wait)
        said, failed = f"no worker answers at {', '.join(missing)}" if missing else "", bool(missing)
    elif wanted.what == "keep":
        failed = wanted.wait is not None and not _listens(wanted.pid, wanted.wait)
        said = "it does not listen" if failed else ""
        if not failed:
            keep(wanted.pid)
    elif wanted.what == "look":
        said = _look(wanted.unit, wanted.endpoints)
    else:
        files, freed = clean(wanted.folder, wanted.quota)
        said = f"removed {files} tensors of {freed} bytes from {wanted.folder}" if files else ""
    if said:
        sys.stdout.write(said + "\n")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
