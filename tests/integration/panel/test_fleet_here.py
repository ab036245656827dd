# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet of one real host, this machine: the command that llama_runtime installed, and a real server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from llamaops_panel.fleet.fleet import Fleet


def listening() -> set[str]:
    rows = [line.split() for file in ("tcp", "tcp6") for line in Path(f"/proc/net/{file}").read_text().splitlines()]
    return {row[1] for row in rows if row[3] == "0A"}


def test_a_real_host_is_streamed_asked_and_opens_no_port(site: Any, port: int, tmp_path: Path) -> None:
    site({"name": "chat", "model": "tiny", "port": port})
    here = {
        "ansible_connection": "local", "llama_root": str(site.root), "llama_scope": "user",
        "llama_models": {"tiny": {"source": "builtin:tiny"}},
        "llama_instances__panel": {"chat": {"model": "tiny", "port": port}},
    }  # fmt: skip
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": {"here": here}}}))
    before = listening()

    async def story() -> None:
        fleet = Fleet([tmp_path / "inventory.json"], tmp_path)
        await fleet.start()
        try:
            async for _names in fleet.watch():
                if "here" in fleet.hosts and fleet.hosts["here"].status and fleet.hosts["here"].facts:
                    break
            assert listening() == before
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
            assert fleet.hosts["here"].models["sets"][0]["whole"]
        finally:
            await fleet.stop()

    asyncio.run(asyncio.wait_for(story(), 90))
    assert listening() == before
