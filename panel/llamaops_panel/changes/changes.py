# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel may change: its own file of each host. Changes of the operator's files it only proposes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .entry import EditedMeanwhile, Entry, Proposal

__all__ = ["Changes", "EditedMeanwhile", "Entry", "Proposal"]


class Known(Protocol):
    """What is known of a host: its groups and its variables."""

    @property
    def groups(self) -> Sequence[str]: ...

    @property
    def variables(self) -> Mapping[str, Any]: ...


class Changes:
    """:param inventory: what `-i` names.
    :param hosts: the hosts of the inventory by name, as they are now.
    :param git: whether each change becomes a commit of the repository that holds the file.
    """

    def __init__(
        self, inventory: Sequence[str], hosts: Callable[[], Mapping[str, Known]], *, project: Path, git: bool = False
    ) -> None:
        self._inventory, self._hosts, self._project, self._git = list(inventory), hosts, project, git

    def instances(self, host: str) -> dict[str, Entry]:
        """The instances of a host by name.

        :raises InvalidInput: there is no such host, or a file cannot be read.
        """
        raise NotImplementedError

    def propose(self, host: str, name: str, fields: Mapping[str, Any] | None, revision: str) -> Proposal:
        """What would be written; `revision` is that of the entry when it was read, empty for a new one.

        :raises EditedMeanwhile: the entry is not what it was.
        :raises InvalidInput: a field is wrong, or there is no place for the file.
        """
        raise NotImplementedError

    def write(self, proposal: Proposal, by: str) -> None:
        """Write the panel's own file; what others changed of other instances meanwhile stays.

        :raises EditedMeanwhile: the entry is not what it was.
        :raises InvalidInput: it is for a file of the operator, or hosts would refuse it.
        """
        raise NotImplementedError
