# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All hosts of an inventory as they are now."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

from . import rows
from .host import Host, HostError
from .notices import Notices

__all__ = ["Fleet", "Host", "HostError"]


class Fleet:
    """The hosts, their streams, and what they say.

    :param inventory: sources as `ansible-inventory -i` takes them.
    :param folder: where Ansible is run: its ansible.cfg counts.
    """

    def __init__(self, inventory: Sequence[str | Path], folder: Path | None = None) -> None:
        self.inventory = [str(source) for source in inventory]
        self.folder = folder or Path.cwd()
        self.hosts: dict[str, Host] = {}
        self._notices = Notices()

    async def start(self) -> None:
        """Read the inventory and begin to stream; returns without waiting for hosts."""
        await self.reload()

    async def stop(self) -> None:
        """End every stream."""

    async def reload(self) -> None:
        """Read the inventory again: new hosts are streamed, those that are gone are let go."""
        self._notices.tell("")

    def rows(self) -> list[dict[str, Any]]:
        """One row an instance, sorted by host: as `core.fleet.view.rows`, with `managed_by` and `host_state`."""
        return [row for name in sorted(self.hosts) for row in rows.of(self.hosts[name])]

    def attention(self) -> list[dict[str, Any]]:
        """What needs a human: `{severity, host, instance, what, why, remedy, link}`, the worst first."""
        return []

    async def watch(self) -> AsyncIterator[set[str]]:
        """Names of hosts that changed, at most four times a second; "" for the inventory itself."""
        async for names in self._notices.watch():
            yield names

    @contextlib.contextmanager
    def look(self, host: str) -> Iterator[None]:
        """While held, the host is streamed fast."""
        yield

    async def ask(self, host: str, do: str, **given: Any) -> dict[str, Any]:
        """Have a host answer one request of the protocol.

        :raises HostError: it is not connected, did not answer in time, or refused.
        """
        raise HostError(f"The host {host!r} is not connected.", "Wait, or see why on its page.")

    async def follow(self, host: str, do: str, **given: Any) -> AsyncIterator[dict[str, Any]]:
        """The answers of a request that goes on (`logs`), until the reader stops.

        :raises HostError: as `ask`; also when the stream is lost meanwhile.
        """
        yield await self.ask(host, do, **given)
