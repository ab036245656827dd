# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages. They call the functions of the panel that the API calls."""

from __future__ import annotations

from nicegui import ui

from ..access import guard
from ..panel import Panel


def register(panel: Panel) -> None:
    """Make every page known to NiceGUI."""

    @ui.page("/")
    def fleet() -> None:
        ui.label(f"Logged in as {guard.page_user().name}")
        ui.link("API", "/docs")
        ui.html('<form method="post" action="/logout"><button>Log out</button></form>', sanitize=False)
