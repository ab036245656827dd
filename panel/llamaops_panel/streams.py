# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams of events: they end with the session or token that opened them, and no one may hold too many."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from fastapi import HTTPException

from .access.identity import Identity

T = TypeVar("T")
MOST = 50  # streams of one user


class Streams:
    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @property
    def open(self) -> int:
        return self._open.total()

    def refuse_more(self, by: Identity) -> None:
        """Raises HTTPException, before the answer has begun."""
        if self._open[by.user.name] >= MOST:
            raise HTTPException(429, f"{by.user.name} holds {MOST} streams already: close some")

    async def of(self, by: Identity, source: AsyncIterator[T]) -> AsyncGenerator[T, None]:
        """What the source gives, until it or the session ends."""
        self._open[by.user.name] += 1
        ended = asyncio.ensure_future(by.ended.wait())
        try:
            while True:
                arriving = asyncio.ensure_future(anext(source))
                try:
                    await asyncio.wait({arriving, ended}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not arriving.done():
                        arriving.cancel()
                        with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                            await arriving
                if ended.done():
                    return
                try:
                    item = arriving.result()
                except StopAsyncIteration:
                    return
                yield item
        finally:
            ended.cancel()
            self._open[by.user.name] -= 1
            if isinstance(source, AsyncGenerator):
                await source.aclose()
