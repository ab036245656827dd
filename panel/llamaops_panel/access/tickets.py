# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One-time tickets: what opens one stream, once, for half a minute, where no header can be set. Kept in memory."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
LIFE = 30.0  # seconds
KEPT = 1000


@dataclass(frozen=True)
class Ticket(Generic[T]):
    path: str
    holder: T
    until: float


class Tickets(Generic[T]):
    def __init__(self) -> None:
        self._open: dict[str, Ticket[T]] = {}

    def issue(self, path: str, holder: T, now: float) -> str:
        self._open = {key: ticket for key, ticket in self._open.items() if ticket.until > now}
        while len(self._open) >= KEPT:
            del self._open[next(iter(self._open))]
        key = secrets.token_urlsafe(32)
        self._open[key] = Ticket(path, holder, now + LIFE)
        return key

    def redeem(self, key: str, path: str, now: float) -> T | None:
        """Who holds it, if it is for this path and still valid. It is used up either way."""
        ticket = self._open.pop(key, None)
        return ticket.holder if ticket is not None and ticket.path == path and ticket.until > now else None
