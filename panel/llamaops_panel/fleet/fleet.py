# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All hosts of an inventory as they are now."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import attention, inventory, rows
from .connection import same_way
from .host import Host, HostError
from .inventory import InventoryError, Known
from .notices import Notices
from .stream import Stream

__all__ = ["Fleet", "Host", "HostError"]

_AT_ONCE = 16  # streams that are being opened


class Fleet:
    """The hosts, their streams, and what they say.

    :param sources: of the inventory, as `ansible-inventory -i` takes them.
    :param folder: where Ansible is run: its ansible.cfg counts.
    :param environment: further variables for Ansible, such as ANSIBLE_PRIVATE_KEY_FILE.
    """

    def __init__(
        self,
        sources: Sequence[str | Path],
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.sources = [str(source) for source in sources]
        self.folder = folder or Path.cwd()
        self.environment = dict(environment or {})
        self.hosts: dict[str, Host] = {}
        self.error = ""  # why the inventory cannot be read
        self.sealed: tuple[str, ...] = ()
        self._streams: dict[str, Stream] = {}
        self._notices = Notices()
        self._lookers: Counter[str] = Counter()
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._reading = asyncio.Lock()
        self._first: asyncio.Task[None] | None = None
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._needs: dict[str, list[dict[str, Any]]] = {}

    async def start(self) -> None:
        """Begin to read the inventory and to stream; returns at once."""
        self._first = asyncio.create_task(self.reload())

    async def stop(self) -> None:
        """End every stream."""
        if self._first:
            self._first.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._first
        await asyncio.gather(*(stream.stop() for stream in self._streams.values()))
        self._streams.clear()

    async def reload(self) -> None:
        """Read the inventory again: new hosts are streamed, those that are reached otherwise anew, those that are gone
        are let go. If it cannot be read, `error` says why and all stays as it is.
        """
        async with self._reading:
            try:
                found = await inventory.read(self.sources, self.folder, self.environment)
            except InventoryError as exc:
                self.error = str(exc)
            else:
                self.error, self.sealed = "", found.sealed
                await self._take_over(found.hosts)
        self._notices.tell("")

    async def _take_over(self, known: Mapping[str, Known]) -> None:
        gone = [name for name, stream in self._streams.items() if not same_way(stream.known, known.get(name))]
        await asyncio.gather(*(self._streams.pop(name).stop() for name in gone))
        for name in [name for name in self.hosts if name not in known]:
            del self.hosts[name]
        for name, item in known.items():
            host = self.hosts.setdefault(name, Host(name))
            host.groups, host.variables = item.groups, item.variables
            if name in self._streams:
                if self._streams[name].known != item:
                    self._streams[name].known = item
                    self._changed(name)
                continue
            self._streams[name] = Stream(host, item, lambda name=name: self._changed(name), self._gate)  # type: ignore[misc]
            self._changed(name)
            self._streams[name].pace(self._lookers[name] > 0)
            self._streams[name].start()

    def _changed(self, name: str) -> None:
        self._rows.pop(name, None)
        self._needs.pop(name, None)
        self._notices.tell(name)

    def rows(self) -> list[dict[str, Any]]:
        """One row an instance, sorted by host: as `core.fleet.view.rows`, with `managed_by` and `host_state`."""
        return [row for name in sorted(self.hosts) for row in self._rows_of(name)]

    def _rows_of(self, name: str) -> list[dict[str, Any]]:
        if name not in self._rows:
            self._rows[name] = rows.of(self.hosts[name])
        return self._rows[name]

    def attention(self) -> list[dict[str, Any]]:
        """What needs a human: `{severity, host, instance, what, why, remedy, link}`, the worst first."""
        found = attention.of_inventory(self.error, self.sealed)
        for name, host in self.hosts.items():
            if name not in self._needs:
                self._needs[name] = attention.of(host, self._rows_of(name))
            found += self._needs[name]
        return sorted(found, key=lambda item: (attention.ORDER.index(item["severity"]), item["host"]))

    async def watch(self) -> AsyncIterator[set[str]]:
        """Names of hosts that changed, at most four times a second; "" for the inventory itself."""
        async for names in self._notices.watch():
            yield names

    @contextlib.contextmanager
    def look(self, host: str) -> Iterator[None]:
        """While held, the host is streamed fast, also by the stream that takes the place of the present one."""
        self._look(host, 1)
        try:
            yield
        finally:
            self._look(host, -1)

    def _look(self, host: str, more: int) -> None:
        self._lookers[host] += more
        if host in self._streams:
            self._streams[host].pace(self._lookers[host] > 0)

    async def ask(self, host: str, do: str, **given: Any) -> dict[str, Any]:
        """Have a host answer one request of the protocol.

        :raises HostError: it is not connected, did not answer in time, or refused.
        """
        return await self._stream(host).ask(do, given)

    async def follow(self, host: str, do: str, **given: Any) -> AsyncGenerator[dict[str, Any]]:
        """The answers of a request that goes on (`logs`), until the reader stops.

        :raises HostError: as `ask`; also when the stream is lost meanwhile.
        """
        async with contextlib.aclosing(self._stream(host).follow(do, given)) as answers:
            async for said in answers:
                yield said

    def _stream(self, host: str) -> Stream:
        if host not in self._streams:
            raise HostError(f"There is no host {host!r}.", "See the hosts of the inventory.")
        return self._streams[host]
