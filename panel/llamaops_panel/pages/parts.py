# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small parts that every page is made of. Each takes text and shows text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import onhost, picture
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.table import Cell
from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from . import text

Handler = Callable[[], Any]
# what only a host holds is drawn in shades of its own
_COLOURS = {
    **picture.COLOURS,
    **dict.fromkeys(("mapped_weights", "lazy_weights"), picture.COLOURS["weights"]),
    "repacked_weights": "#7fb8d9",
    "output": "#a6611a",
    "vocabulary": "#8073ac",
    "prompt_cache": "#b8b8a0",
    "checkpoints": "#7a7a5a",
}


class Box(Element):
    """Any element of HTML with a class."""

    def __init__(self, tag: str = "div", classes: str = "", **attributes: Any) -> None:
        super().__init__(tag)
        if classes:
            self.classes(classes)
        self._props.update({name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()})


class Said(TextElement):
    """An element of HTML with text."""

    def __init__(self, said: Any, tag: str = "span", classes: str = "", **attributes: Any) -> None:
        super().__init__(text=str(said), tag=tag)
        if classes:
            self.classes(classes)
        self._props.update({name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()})


def heading(said: str, level: int = 2) -> Said:
    return Said(said, f"h{level}")


def headline(title: str) -> Box:
    """The line at the head of a page: its title, then whatever is put into it."""
    box = Box(classes="headline")
    with box:
        heading(title, 1)
    return box


def gap() -> Box:
    return Box(classes="gap")


def sheet(classes: str = "") -> Box:
    return Box("section", f"sheet {classes}")


def columns() -> Box:
    return Box(classes="columns")


def tag(word: Any, tone: str | None = None, title: str = "") -> Said:
    """A state as a badge."""
    return Said(text.clean(word, 80), "span", f"tag tone-{tone or text.tone(word)}", title=title)


def notice(said: Any, tone: str = "info") -> Said:
    """A sentence that should be read."""
    return Said(text.clean(said, 2000), "div", f"notice tone-{tone}", role="alert" if tone == "error" else "note")


def note(said: Any) -> Said:
    return Said(text.clean(said, 2000), "p", "soft")


def link(said: Any, href: str, classes: str = "") -> Said:
    return Said(text.clean(said), "a", classes, href=href)


def button(said: str, do: Handler, *, tone: str = "", off: str = "", main: bool = False) -> Said:
    """A button; `off` greys it and says why."""
    made = Said(said, "button", f"act {'main' if main else ''} {f'tone-{tone}' if tone else ''}", type="button")
    enable(made, off)
    made.on("click", do)
    return made


def enable(made: Element, off: str = "") -> None:
    """Make a button usable, or say why it is not."""
    made.props(remove="disabled")
    made._props["title"] = off
    if off:
        made._props["disabled"] = True


def facts(pairs: Iterable[tuple[str, Any]]) -> Box:
    """A list of words and what they are; what is empty is left out."""
    box = Box("dl", "facts")
    with box:
        for name, value in pairs:
            if value not in (None, "", "–"):
                Said(name, "dt")
                Said(text.clean(value, 2000), "dd")
    return box


def figures(pairs: Iterable[tuple[str, Any]]) -> Box:
    """The numbers at the head of a page."""
    box = Box(classes="figures")
    with box:
        for name, value in pairs:
            with Box():
                Said(value, "b")
                Said(name, "span", "soft")
    return box


def code(said: str, *, label: str = "") -> Said:
    """Text as it is in a file or a terminal."""
    return Said(text.lines(said), "pre", "code", tabindex="0", aria_label=label)


def diff(said: str, *, label: str = "Difference") -> Box:
    """A unified diff in colours."""
    kinds = {"+": "add", "-": "del", "@": "at"}
    box = Box("pre", "code", tabindex="0", aria_label=label)
    with box:
        for line in text.lines(said).splitlines():
            Said(line + "\n", "span", kinds.get(line[:1], ""))
    return box


def plan_bars(answer: Mapping[str, Any], memory: int | None = None) -> Box:
    """The devices of a plan and its host as bars, in the colours of the picture; a red line where a device ends.

    :param memory: bytes that the host has free, where it says so. What a server needs from its start is
        counted; what its caches may grow to is drawn only.
    """
    box = Box(classes="bars", role="img", aria_label=" ".join(picture.text(answer)[:1]))
    with box:
        used: dict[str, str] = {}
        for device in text.rows_of(answer, "plan", "devices"):
            room, taken = min(int(device.get("total", 0)), int(device.get("free", 0))), int(device.get("sum", 0))
            _bar(f"{device.get('id', '')} {device.get('name', '')}", device, taken, room, used)
        host = text.dig(answer, "plan", "host", default={})
        grows = text.size(host.get("resident"))
        _bar(f"Memory of the host, may grow to {grows}", host, host_needs(answer), memory, used)
        with Box(classes="legend"):
            for name, colour in used.items():
                with Box("span"):
                    Box("i").style(f"background: {colour}")
                    Said(name.replace("_", " "))
    return box


def host_needs(answer: Mapping[str, Any]) -> int:
    """Bytes of the host that a server works with from its start, by the rule of a launch."""
    cells = text.dig(answer, "plan", "host", "components", default={})
    return onhost.needed({name: Cell(int(cell["bytes"]), cell["kind"], cell["why"]) for name, cell in cells.items()})


def _bar(title: str, holder: Mapping[str, Any], taken: int, room: int | None, used: dict[str, str]) -> None:
    """What a device or the host holds; `used` collects the colours for the legend."""
    cells = {name: cell for name, cell in text.dig(holder, "components", default={}).items() if name in _COLOURS}
    scale = max(room or 0, sum(int(cell["bytes"]) for cell in cells.values()), 1)
    with Box(classes="headline").style("margin: 6px 0 0"):
        Said(text.clean(f"{title}: {text.size(taken)}{'' if room is None else f' of {text.size(room)}'}"), "span")
        gap()
        if room is not None:
            left = room - taken
            tag(f"{text.size(abs(left))} {'left' if left >= 0 else 'missing'}", "ok" if left >= 0 else "error")
    with Box(classes="planbar"):
        for name, cell in cells.items():
            used.setdefault(name, _COLOURS[name])
            why = f"{name}: {text.size(cell['bytes'])} ({cell['kind']}) {cell['why']}"
            Said("", "span", title=text.clean(why)).style(
                f"width: {100 * int(cell['bytes']) / scale:.2f}%; background: {_COLOURS[name]}"
            )
        if room is not None and scale > room:
            Box("i").style(f"left: {100 * room / scale:.2f}%")


def dialog(title: str) -> tuple[ui.dialog, Box]:
    """A dialog and the box in it; it closes by Escape."""
    made = ui.dialog()
    with made:
        box = Box(classes="box", role="dialog", aria_label=title)
        with box, Box(classes="headline"):
            heading(title, 1)
            gap()
            button("Close", made.close)
    return made, box


async def confirm(title: str, said: str, do: str, *, reason: bool = False) -> str | None:
    """Ask before something that cannot be undone.

    :returns: None when the user does not want it, else the reason (empty where none is asked).
    """
    made, box = dialog(title)
    with box:
        Said(said, "p")
        why = ui.input("Reason").props("outlined dense").classes("w-full") if reason else None
        with Box(classes="headline"):
            button(do, lambda: made.submit("" if why is None else str(why.value or "")), tone="error")
    found = await made
    made.delete()
    return None if found is None else str(found)


def tell(said: str, tone: str = "ok") -> None:
    """A short message at the foot of the page."""
    kinds: dict[str, Any] = {"ok": "positive", "error": "negative", "warning": "warning"}
    ui.notify(text.clean(said, 500), type=kinds.get(tone, "info"), html=False)


def choice(label: str, options: Sequence[str] | Mapping[Any, str], value: Any = None, **more: Any) -> ui.select:
    """A field with values to choose from."""
    shown = dict(options) if isinstance(options, Mapping) else list(options)
    return ui.select(shown, label=label, value=value, **more).props("outlined dense options-dense")


def field(label: str, value: Any = "", **more: Any) -> ui.input:
    return ui.input(label, value=value, **more).props("outlined dense")
