# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workers that stand on a host, by their unit files."""

from __future__ import annotations

import os

from ..files import read_text
from ..instance.unit import PREFIX, facts_of

MARK = "rpc@"  # before the name of a worker; no instance can have such a name


def standing(folder: str) -> dict[str, dict[str, str]]:
    """Name -> content of `[X-LlamaOps]` of every worker.

    :param folder: where the units lie.
    """
    try:
        files = sorted(os.listdir(folder))
    except FileNotFoundError:
        return {}
    found = {}
    for file in files:
        if file.startswith(PREFIX + MARK) and file.endswith(".service"):
            facts = facts_of(read_text(os.path.join(folder, file)) or "")
            if facts.get("Worker"):
                found[facts["Worker"]] = facts
    return found


def lent(folder: str) -> dict[str, str]:
    """Device -> the worker that lends it to a head on another host; it has the device to itself."""
    return {facts["Device"]: name for name, facts in standing(folder).items() if facts.get("Device")}
