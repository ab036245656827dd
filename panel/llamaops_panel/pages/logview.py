# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of a log that come while one looks: search, pause and download happen in the browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from nicegui import ui
from nicegui.element import Element

from . import text

Line = dict[str, str]
_LARGEST = 64 << 20  # characters of a download


def line(said: Any, *, at: Any = None, tone: str = "") -> Line:
    """A line as it is shown: without control characters, at most 4000 characters."""
    return {"t": text.clean(said, text.LINE), "at": text.clock(at) if at else "", "tone": tone}


class LogView(Element, component="static/logview.js"):
    """The newest 5000 lines."""

    def __init__(
        self, label: str, *, tall: bool = False, whole: Callable[[], AsyncIterator[Sequence[Line]]] | None = None
    ) -> None:
        """`whole` reads the log from its beginning, for a download; without it a download has what is shown."""
        super().__init__()
        self._props.update(label=label, tall=tall, whole=whole is not None)
        self._label, self._whole = label, whole
        self.on("save", self._save)

    async def _save(self) -> None:
        if self._whole is None:
            return
        found: list[str] = []
        size = 0
        try:
            async for some in self._whole():
                found += [f"{item['at']} {item['t']}" if item["at"] else item["t"] for item in some]
                size += sum(len(item["t"]) for item in some)
                if size > _LARGEST:
                    found.append(f"(a download ends after {_LARGEST >> 20} MiB)")
                    break
        except Exception as exc:  # noqa: BLE001  told where the button is
            ui.notify(text.clean(f"The log could not be read: {exc}", 500), type="negative")
            return
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", self._label)
        ui.download.content("\n".join([*found, ""]).encode(), f"{name}.log", "text/plain")

    def append(self, lines: Sequence[Line]) -> None:
        if lines:
            self.run_method("append", list(lines))

    def reset(self) -> None:
        self.run_method("reset")
