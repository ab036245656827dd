# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel knows of a host: what the inventory says, how it is reached, what it said last."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CONNECTED, CONNECTING, LOST, OFF = "connected", "connecting", "lost", "off"


class HostError(Exception):
    """A host did not answer, or refused; `remedy` is what a person can do about it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


@dataclass
class Link:
    """How it stands with the stream of a host.

    `since` and `retry_at` are Unix seconds, `latency` the seconds that it took to answer when it was last asked. Where
    it is `off`, nothing is tried: `error` and `remedy` say why.
    """

    state: str = OFF
    since: float = field(default_factory=time.time)
    error: str = ""
    remedy: str = ""
    retry_at: float | None = None
    latency: float | None = None


@dataclass
class Host:
    """A host of the inventory. What it said is empty until it did; each part is as `llama-host watch` sends it.

    `variables` are those of the inventory with secrets hidden, `skew` is how many seconds its clock is ahead, `seen` is
    when it last said anything (Unix seconds).
    """

    name: str
    groups: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    link: Link = field(default_factory=Link)
    hello: dict[str, Any] = field(default_factory=dict)
    load: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    builds: dict[str, Any] = field(default_factory=dict)
    models: dict[str, Any] = field(default_factory=dict)
    benches: dict[str, Any] = field(default_factory=dict)
    skew: float | None = None
    seen: float | None = None
