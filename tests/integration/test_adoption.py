# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A llama-server that somebody started by hand: found, understood, and never taken by what cannot."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

KEY = "a-key-of-somebody-else"


@pytest.fixture
def by_hand(site, port):
    """A real server with a key, relative paths and short flags, in a session of its own; its process."""
    server = os.path.realpath(site.root / "current" / "bin" / "llama-server")
    argv = [server, "-m", "builtin/tiny.gguf", "-c", "512", "-np", "2", "--port", str(port), "--api-key", KEY]
    child = subprocess.Popen(
        argv,
        cwd=site.root / "models",
        env={"PATH": os.environ["PATH"], "LLAMA_ARG_BATCH": "128", "SECRET_OF_A_SHELL": "x"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                break
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.1)
    yield child
    child.kill()
    child.wait()


@pytest.fixture
def look(site, ansible_module):
    """What llama_instance_info says of a process."""

    def call(pid):
        given = {"root": str(site.root), "scope": "user", "manager": "supervisor"}
        found = ansible_module("llama_instance_info", given)
        assert KEY not in str(found) and "SECRET_OF_A_SHELL" not in str(found)
        return {item["pid"]: item for item in found["processes"]}[pid]

    return call


def test_the_entry_for_the_inventory_gives_the_same_server(site, port, by_hand, look):
    seen = look(by_hand.pid)
    assert (seen["belongs"] in ("foreign", "external"), seen["terminal"]) == (True, None)
    (name, entry), *others = yaml.safe_load(seen["yaml"]).items()
    assert not others and entry == seen["definition"]
    assert (entry["keys"], entry["port"], entry["adopt"]) == ([name], port, True)
    by_hand.kill()
    by_hand.wait()
    done = site({"name": name, **entry}, keys={name: KEY})
    shown = done["instances"][name]
    flags = dict(zip(shown["command"], shown["command"][1:]))
    assert flags["--model"] == str(site.root / "models" / "builtin" / "tiny.gguf")
    wanted = {"--ctx-size": "512", "--parallel": "2", "--port": str(port), "--batch-size": "128"}
    assert {flag: flags[flag] for flag in wanted} == wanted
    assert not site({"name": name, **entry}, keys={name: KEY})["changed"]
    assert look(shown["pid"])["belongs"] == "instance"


def test_supervisord_refuses_and_touches_nothing(site, port, by_hand, look):
    if look(by_hand.pid)["belongs"] == "external":
        pytest.skip("these tests run in a container, whose processes are not theirs")
    entry = {"name": "chat", "model": "tiny", "port": port, "adopt": True}
    for check in (True, False):
        refused = site(entry, check=check)
        assert refused["failed"] and "supervisord can only manage what it started itself" in refused["msg"]
    assert by_hand.poll() is None
    assert not os.path.exists(site.root / "supervisor" / "conf.d" / "llama-chat.conf")


def test_without_adopt_the_port_is_taken(site, port, by_hand):
    refused = site({"name": "chat", "model": "tiny", "port": port})
    assert refused["failed"] and f"process {by_hand.pid}" in refused["msg"]


def test_a_deleted_program_file_and_a_deleted_folder_come_back_without_a_restart(site, port):
    """What supervisord runs has no unit to ask: its program file and instance.json are written again."""
    entry = {"name": "chat", "model": "tiny", "port": port}
    first = site(entry)["instances"]["chat"]
    os.unlink(site.root / "instances" / "chat" / "instance.json")
    again = site(entry, recover=True)
    assert not again["changed"] and again["instances"]["chat"]["pid"] == first["pid"]
    assert os.path.exists(site.root / "instances" / "chat" / "instance.json")
    text = Path(first["unit"]).read_text()
    os.unlink(first["unit"])
    back = site(entry, recover=True)["instances"]["chat"]
    assert (back["pid"], "restart" in back["actions"], back["restart_pending"]) == (first["pid"], False, False)
    assert Path(first["unit"]).read_text() == text
    assert not site(entry)["changed"]


def test_one_that_cannot_come_back_keeps_no_other_down(site, port):
    chat = {"name": "chat", "model": "tiny", "port": port}
    wrong = {"name": "broken", "model": "tiny", "port": port + 1, "options": {"rope_scale": 0}, "start_timeout": 5}
    wrong["chat_template_file"] = str(site.root / "no-such-template")
    done = site(wrong, chat, recover=True)
    assert done["failed"] and "'broken'" in done["msg"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
        assert answer.status == 200
