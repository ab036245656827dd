# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who makes a request."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from ..store.users import ROLES


@dataclass(frozen=True)
class User:
    name: str
    role: str

    def allows(self, role: str) -> bool:
        """Whether the user may what needs this role: viewer, operator or admin."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class Identity:
    """via: how the request proved who makes it. key: of the session or token. ended: set when that is over, which
    closes the sockets and streams that it opened.
    """

    user: User
    via: Literal["session", "token"]
    key: str
    ended: asyncio.Event = field(compare=False)

    @property
    def who(self) -> str:
        """As the audit log names it."""
        return self.user.name if self.via == "session" else f"{self.user.name} token:{self.key}"
