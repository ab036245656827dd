# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of a log that come while one looks: search, pause and download happen in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nicegui.element import Element

from . import text

Line = dict[str, str]


def line(said: Any, *, at: Any = None, tone: str = "") -> Line:
    """A line as it is shown: without control characters, at most 4000 characters."""
    return {"t": text.clean(said, text.LINE), "at": text.clock(at) if at else "", "tone": tone}


class LogView(Element, component="static/logview.js"):
    """The newest 5000 lines."""

    def __init__(self, label: str, *, tall: bool = False) -> None:
        super().__init__()
        self._props.update(label=label, tall=tall)

    def append(self, lines: Sequence[Line]) -> None:
        if lines:
            self.run_method("append", list(lines))

    def reset(self) -> None:
        self.run_method("reset")
