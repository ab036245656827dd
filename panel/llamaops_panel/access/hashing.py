# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparisons of passwords, which are slow by intent: in threads of their own, and only so many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
CROWD = 50  # that may wait
KNOWN = 25  # more, for devices on which somebody logged in before: a flood of others leaves them room


class LoginRefused(Exception):
    """Wrong name or password (wait is 0), or too many tries (wait: seconds)."""

    def __init__(self, text: str, wait: float = 0.0) -> None:
        super().__init__(text)
        self.wait = wait


class Hashing:
    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(2, "argon2")
        self.waiting = 0

    async def do(self, work: Callable[..., T], *given: Any, known: bool = False) -> T:
        """Raises LoginRefused where too many wait already."""
        if self.waiting >= CROWD + (KNOWN if known else 0):
            raise LoginRefused("many log in at this moment: try again in 2 s", 2.0)
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)
        finally:
            self.waiting -= 1

    def stop(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
