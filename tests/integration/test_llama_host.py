# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command llama-host beside a real server: it tells what the modules tell, live, and opens no port."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class Stream:
    """`llama-host watch` and what it said."""

    def __init__(self, root: Path) -> None:
        pipe = subprocess.PIPE
        command = [root / "bin/llama-host", "watch"]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env={"PATH": os.environ["PATH"]})
        self.number = 0

    def ask(self, do: str, **given: Any) -> int:
        self.number += 1
        self.process.stdin.write(json.dumps({"id": self.number, "do": do, "with": given}).encode() + b"\n")
        self.process.stdin.flush()
        return self.number

    def until(self, wanted: Any, seconds: float = 90) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            line = self.process.stdout.readline()
            assert line, "the stream ended"
            said = json.loads(line)
            if wanted(said):
                return said
        raise AssertionError("it did not come in time")

    def answer(self, do: str, **given: Any) -> dict[str, Any]:
        number = self.ask(do, **given)
        return self.until(lambda said: said.get("id") == number)


@pytest.fixture
def stream(site: Any) -> Iterator[Stream]:
    found = Stream(site.root)
    yield found
    found.process.stdin.close()
    assert found.process.wait(10) == 0


def listening(pid: int) -> set[str]:
    """The TCP addresses that a process listens on; others of this machine come and go meanwhile."""
    rows = [line.split() for file in ("tcp", "tcp6") for line in Path(f"/proc/net/{file}").read_text().splitlines()]
    own = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()}
    return {row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in own}


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([root / "bin/llama-host", *words], capture_output=True, text=True, check=False, timeout=120)


def test_it_tells_what_the_module_tells(site: Any, port: int, ansible_module: Any) -> None:
    site({"name": "chat", "model": "tiny", "port": port})
    args = {"root": str(site.root), "scope": "user", "manager": "supervisor"}
    module, command = ansible_module("llama_instance_info", args), run(site.root, "status", "--json")
    told, asked = json.loads(command.stdout)["instances"]["chat"], module["instances"]["chat"]
    volatile = ("uptime", "detail", "memory", "devices")
    assert {k: v for k, v in told.items() if k not in volatile} == {k: v for k, v in asked.items() if k not in volatile}
    assert command.returncode == 0 and told["state"] == "ready"
    people = run(site.root, "status").stdout.splitlines()
    assert people[0].split()[:2] == ["instance", "state"] and people[1].split()[:2] == ["chat", "ready"]
    assert json.loads(run(site.root, "probe", "chat").stdout)["tokens"] > 0
    plan = run(site.root, "plan", "tiny", "ctx_size=2048")
    assert plan.returncode == 0 and "host" in plan.stdout, plan.stderr
    assert json.loads(run(site.root, "logs", "chat", "--lines", "1", "--json").stdout)["text"]


def test_the_stream_tells_answers_and_follows(site: Any, port: int, stream: Stream) -> None:
    assert stream.until(lambda said: said["kind"] == "hello")["scope"] == "user"
    assert stream.answer("interval", seconds=0.5)["answer"] == {"seconds": 0.5}
    assert stream.until(lambda said: said.get("kind") == "load")["memory"]["total"] > 0
    assert listening(stream.process.pid) == set()
    site({"name": "chat", "model": "tiny", "port": port})
    there = stream.until(lambda said: said.get("kind") == "status" and "chat" in said["instances"])
    if there["instances"]["chat"]["state"] != "ready":
        ready = ("status", "ready")
        stream.until(lambda said: (said.get("kind"), said.get("instances", {}).get("chat", {}).get("state")) == ready)
    plan = stream.answer("plan", model="tiny", options={"ctx_size": 2048})["answer"]
    assert plan["fits"] and plan["plan"]["options"]["ctx_size"] == 2048
    shown = stream.answer("preview", instance={"name": "chat", "model": "tiny", "port": port, "ctx_size": 1024})
    assert "--ctx-size 1024" in shown["answer"]["command_line"] and "[Service]" not in shown["answer"]["command_line"]
    assert stream.answer("capabilities")["answer"]["document"]["options"]
    parsed = stream.answer("paste", text="llama-server -m /models/a.gguf -c 4096 --port 8099")["answer"]
    assert parsed["definition"]["ctx_size"] == 4096
    assert stream.answer("probe", name="chat")["answer"]["tokens"] > 0
    assert "nosuch" in stream.answer("plan", model="nosuch")["error"]["message"]


def test_a_log_goes_on_where_a_lost_stream_ended(site: Any, port: int, stream: Stream) -> None:
    site({"name": "chat", "model": "tiny", "port": port})
    number = stream.ask("logs", name="chat", lines=5000)
    first = stream.until(lambda said: said.get("id") == number)["lines"]
    middle = first[len(first) // 2]["cursor"]
    stream.answer("cancel", id=number)
    again = Stream(site.root)
    again.ask("logs", name="chat", after=middle, follow=False)
    rest: list[Any] = []
    while True:
        said = again.until(lambda line: line.get("id") == 1)
        if "lines" not in said:
            break
        rest += said["lines"]
    again.process.stdin.close()
    assert [line["cursor"] for line in rest[: len(first) - len(first) // 2 - 1]] == [
        line["cursor"] for line in first[len(first) // 2 + 1 :]
    ]
    assert again.process.wait(10) == 0
