# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long lists, a page at a time: `after` is the key at which the last page ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=500, description="how many at most")]
After = Annotated[str, Query(max_length=300, description="`next` of the page before")]
Before = Annotated[int | None, Query(ge=1, le=2**62, description="`next` of the page before")]


class Page(BaseModel, Generic[T]):
    """next: what to give as `after` (or `before`) for the next page; none, and there is no further one."""

    items: list[T]
    next: str | None


def page(items: Iterable[T], key: Callable[[T], str], after: str, limit: int) -> Page[T]:
    """Of items in any order, those after a key, sorted by it."""
    rest = sorted((item for item in items if key(item) > after), key=key)
    return Page(items=rest[:limit], next=key(rest[limit - 1]) if len(rest) > limit else None)


def counted(items: list[T], key: Callable[[T], object], limit: int) -> Page[T]:
    """Of one more than `limit` rows, newest first, as the database gave them."""
    return Page(items=items[:limit], next=str(key(items[limit - 1])) if len(items) > limit else None)
