# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who changed, for whoever looks: a set of names at most four times a second, however much happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

PAUSE = 0.25  # seconds between two notices to the same reader


class Notices:
    """Tells every reader which names changed since it last looked."""

    def __init__(self) -> None:
        self._readers: set[_Reader] = set()

    def tell(self, name: str) -> None:
        """`name` changed."""
        for reader in self._readers:
            reader.names.add(name)
            reader.there.set()

    async def watch(self) -> AsyncIterator[set[str]]:
        """The names that changed, as they change; the first change is told at once."""
        reader = _Reader()
        self._readers.add(reader)
        try:
            while True:
                await reader.there.wait()
                reader.there.clear()
                names, reader.names = reader.names, set()
                yield names
                await asyncio.sleep(PAUSE)
        finally:
            self._readers.discard(reader)


class _Reader:
    def __init__(self) -> None:
        self.names: set[str] = set()
        self.there = asyncio.Event()
