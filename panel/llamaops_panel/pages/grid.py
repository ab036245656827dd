# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dense table of every page; cards on narrow screens. Cells are text, or as grid.js describes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nicegui import events
from nicegui.element import Element

Row = dict[str, Any]


def column(name: str, label: str, kind: str = "", *, less: bool = False) -> dict[str, Any]:
    """A column; `kind` is num, mono, tight, wide or acts; `less` leaves it out of cards."""
    return {"name": name, "label": label, "kind": kind, "less": less}


class Grid(Element, component="static/grid.js"):
    """Rows `{id, cells: {column: cell}, tone}`; later only rows that changed travel to the browser."""

    def __init__(
        self,
        columns: Sequence[dict[str, Any]],
        rows: Sequence[Row] = (),
        *,
        label: str,
        empty: str = "Nothing here.",
        find: bool = False,
        on_act: Callable[[str, str], Any] | None = None,
        on_chosen: Callable[[list[str]], Any] | None = None,
        step: int = 120,
    ) -> None:
        super().__init__()
        self._rows = {row["id"]: row for row in rows}
        self._props.update(
            columns=list(columns),
            rows=tuple(rows),
            label=label,
            empty=empty,
            find=find,
            choose=bool(on_chosen),
            step=step,
        )
        if on_act:
            self.on("act", lambda event: on_act(str(event.args["name"]), str(event.args["row"])))
        if on_chosen:
            self.on("chosen", lambda event: on_chosen(_names(event)))

    def show(self, rows: Sequence[Row]) -> None:
        """Have the table show these rows; what did not change is not sent again."""
        fresh = {row["id"]: row for row in rows}
        changed = [row for name, row in fresh.items() if self._rows.get(name) != row]
        order = None if list(fresh) == list(self._rows) else list(fresh)
        if changed or order is not None:
            self._rows = fresh
            with self._props.suspend_updates():  # a page that connects again gets the whole; others only the patch
                self._props["rows"] = tuple(rows)
            self.run_method("patch", changed, order)


def _names(event: events.GenericEventArguments) -> list[str]:
    return [str(name) for name in event.args] if isinstance(event.args, list) else []
