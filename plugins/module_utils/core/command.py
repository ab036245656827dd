# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running commands: argument lists only, captured output, bounded time."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import IO

from .errors import CommandFailed, MissingTool


@dataclass(frozen=True)
class Result:
    """What a command did. `seconds` is wall time; output is text, undecodable bytes replaced."""

    argv: tuple[str, ...]
    rc: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def line(self) -> str:
        """The command as one could type it into a shell."""
        return shlex.join(self.argv)


@dataclass(frozen=True)
class Account:
    """A user a command runs as, given by number, with its home folder."""

    name: str
    uid: int
    gid: int
    home: str


def run(
    argv: Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    account: Account | None = None,
    keep_fds: Sequence[int] = (),
    log: IO[bytes] | None = None,
    check: bool = True,
) -> Result:
    """Run `argv` and wait for it.

    :param env: the whole environment of the command; the caller's own if left out.
    :param account: run as this user (the caller is root), without further groups.
    :param keep_fds: file descriptors the command inherits, a held lock for example.
    :param log: a binary file that gets both output streams; `stdout` and `stderr` are empty then.
    :raises MissingTool: the program does not exist.
    :raises CommandFailed: it ran longer than `timeout`, or `check` is set and it ended with an error.
    """
    start = time.monotonic()
    try:
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function  # the core knows no AnsibleModule
            list(argv),
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=log or subprocess.PIPE,
            stderr=subprocess.STDOUT if log else subprocess.PIPE,
            pass_fds=tuple(keep_fds),
            start_new_session=True,
            umask=0o022,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except FileNotFoundError as exc:
        raise MissingTool(f"The program {argv[0]!r} was not found.") from exc
    except OSError as exc:
        raise CommandFailed(f"{argv[0]!r} cannot be started: {exc.strerror}.") from exc
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as exc:
        end_group(process)
        raise CommandFailed(f"{shlex.join(argv)} did not end within {timeout:.0f} s.") from exc
    except BaseException:
        end_group(process)
        raise
    result = Result(tuple(argv), process.returncode, _text(out), _text(err), time.monotonic() - start)
    if check and result.rc:
        said = tail(result.stderr or result.stdout, 12)
        raise CommandFailed(
            f"{result.line} ended with status {result.rc}" + (f": {said}" if said else "."), rc=result.rc
        )
    return result


class Ended(BaseException):
    """Somebody asked this process to end. No error: nothing may take it for one and go on."""


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """While the block runs, SIGTERM raises `Ended` in it, so that no command outlives it; a second one kills at once.

    A lost connection sends SIGHUP, if anything, and a job of a host has no terminal that could: it goes on.
    """

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise Ended

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process started by this module's rules (a session of its own) with all its children.

    Ninja gives each of its compilers a process group of its own, so the session counts. What is forked meanwhile is
    found in the next round.
    """
    while alive := _members(process.pid):
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.poll()  # a zombie is still listed
        time.sleep(0.01)
    process.wait()


def _members(session: int) -> list[int]:
    """The processes of a session, but for zombies: each waits for its parent."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError), open(f"/proc/{name}/stat", encoding="utf-8") as file:
                state, _parent, _group, leader = file.read().rpartition(")")[2].split()[:4]
                if int(leader) == session and state != "Z":
                    found.append(int(name))
    return found


def tail(text: str, lines: int) -> str:
    """The last non-empty lines of a text."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")
