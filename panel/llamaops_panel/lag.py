# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the event loop made others wait: what blocks it shows here."""

from __future__ import annotations

import asyncio
from collections import deque

EVERY = 0.5  # seconds
KEPT = 120  # looks: a minute


class Lag:
    def __init__(self) -> None:
        self._found: deque[float] = deque(maxlen=KEPT)

    @property
    def worst(self) -> float:
        """Seconds, of the last minute."""
        return max(self._found, default=0.0)

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(EVERY)
            self._found.append(max(0.0, loop.time() - before - EVERY))
