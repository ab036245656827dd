# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every service manager can do for instances, and which one a host has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import InvalidInput
from ..sandbox import has_systemd
from ..tree import Tree
from .unit import Launch


@dataclass(frozen=True)
class Status:
    """What a manager says of an instance: `pid` is 0 when it does not run, `detail` its own words.

    `started` is when its process began, in seconds since the epoch as the clock said then; 0 if unknown.
    `waiting` says that a start is under way or will be tried again; `failed`, that the manager gave up;
    `adopted`, that the process was started by somebody else and taken over.
    """

    active: bool
    pid: int = 0
    detail: str = ""
    enabled: bool = False
    started: float = 0.0
    waiting: bool = False
    failed: bool = False
    adopted: bool = False


class Manager(Protocol):
    """A service manager. Names are instance names; a unit file is read and written as text."""

    kind: str
    hardening: str

    def prepare(self) -> list[str]:
        """Make the manager usable (idempotent); returns warnings."""

    def render(self, launch: Launch) -> str:
        """The text of the unit file of an instance."""

    def path(self, name: str) -> str:
        """The unit file of an instance."""

    def beside(self, launch: Launch) -> dict[str, str]:
        """Further files of an instance by path: its watchdog, and what its GPUs need."""

    def managed(self) -> list[str]:
        """The instances that have a unit file of ours."""

    def status(self, name: str) -> Status:
        """The state of an instance."""

    def install(self, name: str, text: str, beside: Mapping[str, str]) -> None:
        """Write the unit file and those beside it, and have the manager read them. Starts no instance."""

    def remove(self, name: str) -> None:
        """Stop an instance and remove its unit file."""

    def enable(self, name: str, wanted: bool) -> bool:
        """Have it started at boot, or not. True if that changed."""

    def start(self, name: str, seconds: int) -> None:
        """Start a stopped instance. Returns when the manager calls it running, or failed."""

    def stop(self, name: str) -> None:
        """Stop an instance; returns when it has ended."""

    def adopt(self, name: str, pids: Sequence[int], memory_max: int | None) -> None:
        """Take processes that run under management as they are: their limit from now on, and the unit of the instance
        starts when they end.

        :param memory_max: bytes, of what they take from now on.
        :raises InvalidInput: this manager cannot.
        """

    def mark(self, name: str) -> str:
        """The present end of the log, for `log`."""

    def log(self, name: str, mark: str = "", lines: int = 4000) -> str:
        """What the instance wrote after the mark (empty: ever), at most so many lines, the last ones."""

    def recent(self, name: str, lines: int, since: str) -> list[str]:
        """The last lines of an instance and of the manager about it: since `start`, since `ever`, or since a time."""

    def follow(self, name: str) -> list[str]:
        """The command with which a person watches the log grow."""


def choose(tree: Tree, kind: str = "auto") -> Manager:
    """The manager of a host: systemd where it runs (the system's, or the user's own), else supervisord.

    :raises InvalidInput: the wanted manager does not run here.
    """
    from .supervisor import Supervisor
    from .systemd import Systemd, user_manager_runs

    runs = has_systemd() if tree.system else user_manager_runs()
    if kind == "systemd" and not runs:
        raise InvalidInput(
            f"systemd does not run here as the manager of the {tree.scope} scope.",
            "Use manager: supervisor with scope: user, or start a user session (loginctl enable-linger).",
        )
    if kind != "supervisor" and runs:
        return Systemd(tree)
    if tree.system:
        raise InvalidInput(
            "systemd does not run here, and supervisord serves the user scope only.",
            "Use scope: user; in a container root is that user.",
        )
    return Supervisor(tree)
