# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One real host, this machine: the command that llama_runtime installed, and a real server; by fleet and API."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixtures.panel_process import PASSWORDS, PanelProcess
from llamaops_panel.fleet.fleet import Fleet

PATIENCE = 240.0  # seconds for all of it, on a machine that is busy with other things


def listening() -> set[str]:
    rows = [line.split() for file in ("tcp", "tcp6") for line in Path(f"/proc/net/{file}").read_text().splitlines()]
    return {row[1] for row in rows if row[3] == "0A"}


@pytest.fixture
def inventory(site: Any, port: int, tmp_path: Path) -> Path:
    """With the host `here`, on which `chat` serves at `port`."""
    site({"name": "chat", "model": "tiny", "port": port})
    here = {
        "ansible_connection": "local", "llama_root": str(site.root), "llama_scope": "user",
        "llama_models": {"tiny": {"source": "builtin:tiny"}},
        "llama_instances__panel": {"chat": {"model": "tiny", "port": port}},
    }  # fmt: skip
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": {"here": here}}}))
    return tmp_path / "inventory.json"


def test_a_real_host_is_streamed_asked_and_opens_no_port(inventory: Path, port: int) -> None:
    before = listening()

    async def story() -> None:
        fleet = Fleet([inventory], inventory.parent)
        await fleet.start()
        try:
            async for _names in fleet.watch():
                if "here" in fleet.hosts and fleet.hosts["here"].status and fleet.hosts["here"].facts:
                    break
            assert before >= {each for each in listening() if int(each.rpartition(":")[2], 16) == port}
            row = fleet.rows()[0]
            assert (row["instance"], row["state"], row["managed_by"], row["reasons"]) == ("chat", "ready", "panel", [])
            assert [item for item in fleet.attention() if item["severity"] == "error"] == []
            entry = {"model": "tiny", "port": port + 1, "ctx_size": 2048}
            said = await fleet.ask("here", "plan", name="other", entry=entry)
            assert said["plan"]["fits"] and said["plan"]["plan"]["options"]["ctx_size"] == 2048
            assert "--ctx-size 2048" in said["command_line"], said["warnings"]
            async for lines in fleet.follow("here", "logs", name="chat", lines=5):
                assert lines["lines"]
                break
            assert (await fleet.ask("here", "capabilities", build="active"))["document"]["options"]
            while not fleet.hosts["here"].models:
                await asyncio.sleep(0.1)
            assert fleet.hosts["here"].models["sets"][0]["whole"]
        finally:
            await fleet.stop()

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def until(found: Callable[[], Any]) -> Any:
    ends = time.monotonic() + PATIENCE
    while not (said := found()):
        assert time.monotonic() < ends
        time.sleep(0.2)
    return said


def test_the_api_speaks_the_words_of_the_host(inventory: Path, port: int) -> None:
    panel = PanelProcess(inventory.parent, "--inventory", str(inventory))
    panel.command("user", "add", "ann", "--password-file", "-", typed=f"{PASSWORDS['ann']}\n")
    panel.start()
    try:
        panel.add_users()
        with panel.program("vic") as vic, panel.program("olga") as olga:
            panel.connected(1)
            until(lambda: vic.get("/api/v1/models").json()["items"][0]["models"].get("sets"))
            build = until(lambda: vic.get("/api/v1/builds").json()["items"])[0]
            row = vic.get("/api/v1/instances").json()["items"][0]
            assert (row["host"], row["instance"], row["state"]) == ("here", "chat", "ready")
            here, fields = "/api/v1/hosts/here", {"model": "tiny", "port": port + 1, "ctx_size": 2048}

            plan = vic.post(f"{here}/plan", json={"fields": fields, "name": "other"}).json()
            assert plan["plan"]["fits"] and "--ctx-size 2048" in plan["command_line"], plan
            plans = vic.post("/api/v1/plans", json={"fields": {"model": "/absent.gguf"}, "hosts": ["here"]}).json()
            assert "absent.gguf" in plans[0]["error"] and plans[0]["remedy"], plans
            preview = vic.post(f"{here}/preview", json={"fields": fields, "name": "other"}).json()
            assert "--ctx-size 2048" in preview["command_line"] and preview["build_id"] == build["id"], preview
            line = {"command": f"llama-server -m /srv/x.gguf -c 4096 --port {port + 2}"}
            pasted = vic.post(f"{here}/paste", json=line).json()
            assert pasted["definition"]["port"] == port + 2 and "ctx_size" in json.dumps(pasted["definition"]), pasted
            for asked in ({}, {"build": build["id"]}):
                found = vic.get(f"{here}/capabilities", params=asked).json()
                assert found["build"] == build["id"] and "--ctx-size" in json.dumps(found["document"]["options"])
            assert vic.get(f"{here}/capabilities", params={"build": "absent"}).status_code == 502
            root = Path(json.loads(inventory.read_text())["all"]["hosts"]["here"]["llama_root"])
            model = next((root / "models").rglob("*.gguf"))
            resolved = olga.post(f"{here}/resolve", json={"source": str(model)})
            assert resolved.status_code == 200 and resolved.json(), resolved.text
            assert olga.post(f"{here}/instances/chat/probe").status_code == 200

            logs, chat = f"{here}/logs", {"instance": "chat"}
            first = vic.get(logs, params={**chat, "lines": 5}).json()["lines"]
            assert len(first) == 5 and all(line["text"] and line["cursor"] for line in first)
            rest = vic.get(logs, params={**chat, "cursor": first[1]["cursor"]}).json()["lines"]
            assert [line["cursor"] for line in rest[:3]] == [line["cursor"] for line in first[2:]], "no gap, none twice"
            text = vic.get(f"{logs}/text", params=chat)
            assert first[-1]["text"] in text.text and "attachment" in text.headers["content-disposition"]
            assert vic.get(logs, params={"instance": "absent"}).status_code == 502
            with vic.stream("GET", f"{logs}/events", params={**chat, "cursor": first[1]["cursor"]}) as events:
                data = next(line for line in events.iter_lines() if line.startswith("data:"))
                assert json.loads(data[5:])["lines"][0]["cursor"] == first[2]["cursor"]

            edit = {"fields": {**fields, "model": "builtin:tiny"}}
            assert olga.put(f"{here}/instances/other", json=edit).status_code == 200
            written = inventory.parent / "host_vars" / "here" / "llama_panel.yml"
            assert "other:" in written.read_text()
            rows = vic.get("/api/v1/instances", params={"host": "here", "managed_by": "panel"}).json()["items"]
            assert [row["instance"] for row in rows] == ["other"], "the fleet was read again"
    finally:
        panel.stop()
