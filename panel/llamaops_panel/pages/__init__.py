# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages, each a file by its subject. They call the functions of the panel that the API calls."""

from __future__ import annotations

from ..panel import Panel
from . import benches, builds, edit, fleet, host, instances, jobs, library, logs, memory, settings


def register(panel: Panel) -> None:
    """Make every page known to NiceGUI."""
    for subject in (fleet, edit, host, instances, jobs, logs, builds, memory, library, benches, settings):
        subject.build(panel)
