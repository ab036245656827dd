# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of every page: navigation, connection, user, keyboard; and what keeps a page live."""

from __future__ import annotations

import asyncio
import functools
import inspect
import shlex
import typing
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import LlamaOpsError
from nicegui import background_tasks, context, ui
from nicegui.element import Element

from ..access import guard
from ..access.access import LoginRefused
from ..access.guard import NotAllowed
from ..access.identity import User
from ..access.passwords import WeakPassword
from ..fleet.host import HostError
from ..store import StoreError
from ..store.users import UserError
from . import parts
from .parts import Box, Said

if TYPE_CHECKING:
    from ..panel import Panel

T = TypeVar("T")
# what goes wrong for a reason that a user can read and mend
TROUBLE = (LlamaOpsError, HostError, NotAllowed, LoginRefused, UserError, StoreError, WeakPassword, ValueError, OSError)
STYLE = (Path(__file__).parent / "static" / "style.css").read_text(encoding="utf-8")
# path, title, the letter behind g
PAGES = (
    ("/", "Fleet", "f"),
    ("/instances", "Instances", "i"),
    ("/jobs", "Jobs", "j"),
    ("/builds", "Builds", "b"),
    ("/memory", "Memory", "m"),
    ("/library", "Library", "l"),
    ("/benchmarks", "Benchmarks", "n"),
    ("/logs", "Logs", "o"),
    ("/settings", "Settings", "s"),
)
_FIRST = 3  # entries that the bar of a narrow screen shows
_FEW = 16  # hosts that a page of the whole fleet watches closely


class Shell(Element, component="static/shell.js"):
    """The state of the connection, and the keys of the whole page."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self._props["keys"] = {key: path for path, _title, key in PAGES}
        self.on("theme", lambda: switch_theme(view))


@dataclass(frozen=True)
class View:
    """What a page is given: the panel, and who looks at it."""

    panel: Panel
    user: User

    def sure(self, role: str) -> User:
        """The user as they are now: asked before each change, for roles and sessions end. Raises NotAllowed."""
        return guard.page_needs(role)

    def off(self, role: str = "operator") -> str:
        """Why the user may not do this; empty where it is allowed."""
        return "" if self.user.allows(role) else f"Only the role {role} may do this; yours is {self.user.role}."


def page(panel: Panel, path: str, title: str, role: str = "viewer") -> Callable[[Callable[..., Awaitable[None]]], Any]:
    """Make a function `(view, **parameters of the path)` a page in the frame, for whoever has the role."""

    def decorate(fill: Callable[..., Awaitable[None]]) -> Any:
        @functools.wraps(fill)
        async def shown(**given: Any) -> Any:
            user = guard.page_user()
            view = View(panel, user)
            with frame(view, title, path):
                if user.allows(role):
                    await fill(view, **given)
                else:
                    parts.notice(view.off(role), "error")
            return None

        hints = typing.get_type_hints(fill)
        signature = inspect.signature(fill)
        asked = [item.replace(annotation=hints[name]) for name, item in signature.parameters.items() if name != "view"]
        shown.__signature__ = signature.replace(parameters=asked, return_annotation=Any)  # type: ignore[attr-defined]
        del shown.__wrapped__
        return ui.page(path, title=f"{title} · LlamaOps")(shown)

    return decorate


def head(view: View) -> None:
    """What every page has: the style, and the theme that the user chose."""
    ui.add_head_html(f"<style>{STYLE}</style>")
    ui.dark_mode(view.panel.access.preferences(view.user.name).get("dark"))


async def switch_theme(view: View) -> None:
    """Light, dark, as the system has it, in turn; kept for the user."""
    held = view.panel.access.preferences(view.user.name)
    following = {None: True, True: False, False: None}
    await view.panel.access.set_preferences(view.user.name, {**held, "dark": following[held.get("dark")]})
    ui.navigate.reload()


def frame(view: View, title: str, path: str) -> Box:
    """The frame; used as a context, it takes what the page shows."""
    head(view)
    Said("Skip to the content", "a", "skip", href="#content")
    with Box(classes="shell"):
        with Box("header", "top"):
            Said("LlamaOps", "a", "brand", href="/")
            Shell(view)
            parts.gap()
            Said(f"{view.user.name} ({view.user.role})", "a", "who", href="/settings")
            parts.button("Theme", lambda: switch_theme(view))
            with Box("form", action="/logout", method="post"):
                Said("Log out", "button", "act", type="submit")
        navigation(path)
        content = Box("section", "page", id="content", tabindex="-1", aria_label=title)  # in the main of NiceGUI
    _shortcuts()
    return content


def navigation(path: str) -> None:
    with Box("nav", "side", aria_label="Pages"):
        for link, title, _key in PAGES[:_FIRST]:
            _entry(link, title, path)
        with Box(classes="rest"):
            for link, title, _key in PAGES[_FIRST:]:
                _entry(link, title, path)
        Said("More", "button", "morenav", type="button").on(
            "click", js_handler="(e) => e.target.closest('nav').classList.toggle('open')"
        )


def _entry(link: str, title: str, path: str) -> None:
    here = path == link or (link != "/" and path.startswith(link)) or (link == "/" and path.startswith("/hosts"))
    made = Said(title, "a", href=link)
    if here:
        made._props["aria-current"] = "page"


def _shortcuts() -> None:
    with Box("aside", "sheet", id="shortcuts", hidden=True):
        parts.heading("Keyboard")
        for keys, what in (("/", "filter or search"), ("Esc", "leave a field"), ("t", "theme"), ("?", "this list")):
            with Box():
                Said(keys, "kbd")
                Said(f" {what}")
        for _link, title, key in PAGES:
            with Box():
                Said(f"g {key}", "kbd")
                Said(f" {title}")


def live(view: View, draw: Callable[[], Any], hosts: Iterable[str] | None = None) -> None:
    """Draw again whenever hosts change, while the page is open; hosts that are named are watched closely meanwhile.

    :param hosts: None for the whole fleet, which is watched closely only where it is small.
    """
    named = None if hosts is None else set(hosts)
    every = list(view.panel.fleet.hosts) if len(view.panel.fleet.hosts) <= _FEW else []
    slot = context.slot

    async def follow() -> None:
        with ExitStack() as looked:
            for name in every if named is None else named:
                looked.enter_context(view.panel.fleet.look(name))
            async for changed in view.panel.fleet.watch():
                if named is None or "" in changed or named & changed:
                    with slot:
                        draw()

    run(follow())


def run(work: Awaitable[Any]) -> asyncio.Task[Any]:
    """Let something go on while the page is open, and end it with the page."""

    slot = context.slot

    async def begun() -> Any:
        with slot:
            return await work

    task: asyncio.Task[Any] = background_tasks.create(begun())
    context.client.on_delete(task.cancel)
    return task


def shell(argv: Sequence[str]) -> str:
    """A command as one types it."""
    return shlex.join(argv)


def explained(exc: Exception) -> str:
    """An error for people: what was found, and the remedy where it names one."""
    said = str(getattr(exc, "message", "") or getattr(exc, "problem", "") or exc) or type(exc).__name__
    remedy = str(getattr(exc, "remedy", "") or "")
    return f"{said} {remedy}".strip() if remedy and remedy not in said else said


async def aside(do: Callable[..., T], *given: Any) -> T:
    """Call what touches files in a thread, so that no page waits for it."""
    return await asyncio.to_thread(do, *given)


def address() -> str:
    """Where the browser of the page is."""
    client = context.client.request.client
    return client.host if client else ""
