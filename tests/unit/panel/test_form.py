# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of an instance, while somebody types into it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nicegui")
sys.path.insert(0, str(Path(__file__).parent))

import invented
from llamaops_panel.pages import fields
from llamaops_panel.pages.form import Form
from nicegui import Client, core, ui

FLAGS = ("--n-cpu-moe", "--ctx-size")


def test_a_control_is_sent_to_the_browser_only_when_it_is_greyed_or_no_longer():
    client = Client(ui.page("/form"))
    with client:
        form = Form(None, invented.host("gpu01", {}), "chat", {}, fixed=True)
        form.controls = {field.name: form._control(field) for field in fields.FIELDS.values() if field.flag in FLAGS}
        sent = client.outbox.updates

        def greyed(*flags: str) -> dict[str, str]:
            sent.clear()
            form.document = {"version": "b1", "options": [invented.option(flag) for flag in flags]}
            form._grey()
            return {name: control._props["hint"] for name, control in form.controls.items() if control.id in sent}

        form.build = "b1"
        assert greyed(*FLAGS) == {}
        assert "has no --n-cpu-moe" in greyed("--ctx-size")["n_cpu_moe"] and len(sent) == 1
        assert greyed("--ctx-size") == {}
        assert greyed(*FLAGS) == {"n_cpu_moe": fields.FIELDS["n_cpu_moe"].hint}
    client.delete()


def test_controls_begin_with_their_values_so_that_none_is_sent_after_the_page(monkeypatch):
    entry = {"model": "tiny", "port": 8099, "devices": ["none"], "cache_type_k": "odd", "plan": {"allow": ["odd"]},
             "jinja": True, "keys": ["team"], "lora": ["/srv/a.gguf"]}  # fmt: skip

    async def story() -> None:
        monkeypatch.setattr(core, "loop", asyncio.get_running_loop())  # as NiceGUI does when it starts
        client = Client(ui.page("/form"))
        with client:
            form = Form(None, invented.host("gpu01", {}), "chat", entry, fixed=True)
            form._fields()
            assert form.entry() == ("chat", {**entry, "devices": "none"})
            held = {item.id: name for name, item in {**form.controls, "name": form.name, "rest": form.rest}.items()}

            def sent(entry: dict[str, Any]) -> list[str]:
                client.outbox.updates.clear()
                form.load("chat", entry)
                return [held[id] for id in client.outbox.updates if id in held]

            assert sent(entry) == [], "a value that was there already was sent again"
            assert sent({**entry, "port": 8100}) == ["port"]
        form._soon.cancel()
        client.delete()

    asyncio.run(story())
