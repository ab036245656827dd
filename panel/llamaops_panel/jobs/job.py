# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job: one run of a playbook, from the moment somebody asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED, LOST = "queued", "running", "succeeded", "failed", "cancelled", "lost"
STATES = (QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED, LOST)
OPEN = (QUEUED, RUNNING)


@dataclass(frozen=True)
class Job:
    """Times are unix seconds. `recap` is by host Ansible's counters (ok, changed, failures, unreachable, skipped, ...).

    `state` is `lost` when the process that ran the playbook vanished without saying how it ended. `summary` is one
    sentence about the end, for people; what failed half-way names the hosts that have the change and those that do not.
    """

    id: str
    op: str
    hosts: tuple[str, ...]
    given: Mapping[str, Any]
    check: bool
    by: str
    command: tuple[str, ...]
    state: str = QUEUED
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    rc: int | None = None
    recap: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    summary: str = ""

    @property
    def open(self) -> bool:
        """Is it queued, or does it run?"""
        return self.state in OPEN

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            **{key: getattr(self, key) for key in ("id", "op", "check", "by", "state", "created", "started", "ended")},
            "rc": self.rc,
            "summary": self.summary,
            "hosts": list(self.hosts),
            "command": list(self.command),
            "given": dict(self.given),
            "recap": {host: dict(numbers) for host, numbers in self.recap.items()},
        }
