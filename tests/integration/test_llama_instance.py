# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances of the really built llama-server under supervisord, in the user scope of this machine."""

from __future__ import annotations

import os
import signal
import socket
import time
import urllib.request
from pathlib import Path

import pytest

KEY = "a-key-that-nobody-else-has"


def chat(port, **more):
    return {"name": "chat", "model": "tiny", "port": port, **more}


def command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]


def test_started_means_it_answers_and_a_second_run_changes_nothing(site, port):
    first = site(chat(port))
    assert first["changed"], first
    shown = first["instances"]["chat"]
    assert shown["proof"]["tokens"] >= 1
    assert command_line(shown["pid"]) == shown["command"]
    assert f"--port {port}" in shown["command_line"]
    second = site(chat(port))
    assert not second["changed"]
    assert second["instances"]["chat"]["pid"] == shown["pid"]


def test_check_mode_shows_the_unit_and_changes_nothing(site, port):
    seen = site(chat(port), check=True, diff=True)
    assert seen["changed"]
    assert f"--port {port}" in seen["diff"][0]["after"]
    assert not os.path.exists(seen["instances"]["chat"]["unit"])


def test_a_changed_option_restarts_and_check_mode_says_so(site, port):
    pid = site(chat(port))["instances"]["chat"]["pid"]
    changed = chat(port, options={"metrics": True})
    seen = site(changed, check=True)
    assert seen["instances"]["chat"]["actions"] == ["write", "restart"]
    after = site(changed)["instances"]["chat"]
    assert after["pid"] != pid
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        assert b"llamacpp:" in answer.read()


def test_restart_never_waits(site, port):
    pid = site(chat(port))["instances"]["chat"]["pid"]
    after = site(chat(port, restart="never", options={"metrics": True}))["instances"]["chat"]
    assert after["pid"] == pid
    assert after["restart_pending"]


def test_stopped_restarted_absent(site, port):
    pid = site(chat(port))["instances"]["chat"]["pid"]
    again = site(chat(port, state="restarted"))["instances"]["chat"]["pid"]
    assert again != pid
    assert site(chat(port, state="stopped"))["changed"]
    assert not site(chat(port, state="stopped"))["changed"]
    assert not os.path.exists(f"/proc/{again}")
    gone = site({"name": "chat", "state": "absent"})
    assert gone["changed"]
    assert not os.path.exists(gone["instances"]["chat"]["unit"])
    assert not site({"name": "chat", "state": "absent"})["changed"]


def test_it_comes_back_after_kill_9(site, port):
    pid = site(chat(port))["instances"]["chat"]["pid"]
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
                assert answer.status == 200
                break
        except OSError:
            time.sleep(0.2)
    assert site(chat(port))["instances"]["chat"]["pid"] != pid


def test_an_embedding_instance_embeds(site, port):
    shown = site({"name": "embed", "kind": "embedding", "model": "tiny", "port": port, "options": {"pooling": "mean"}})
    assert shown["instances"]["embed"]["proof"]["dimensions"] > 0


def test_a_key_opens_and_is_shown_nowhere(site, port):
    shown = site(chat(port, bind="public", keys=["team"]), keys={"team": KEY}, diff=True)
    pid = shown["instances"]["chat"]["pid"]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models")
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/models", headers={"Authorization": f"Bearer {KEY}"})
    assert urllib.request.urlopen(request).status == 200
    assert KEY not in str(shown)
    assert KEY not in Path(f"/proc/{pid}/environ").read_text() + " ".join(command_line(pid))
    holders = [path for path in site.root.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert [str(path.relative_to(site.root)) for path in holders] == ["keys/chat"]
    assert holders[0].stat().st_mode & 0o777 == 0o600
    other = site(chat(port, bind="public", keys=["team"]), keys={"team": KEY + "-rotated"})
    assert other["instances"]["chat"]["actions"] == ["keys", "restart"]


def test_a_public_bind_without_a_key_is_refused(site, port):
    refused = site(chat(port, bind="public"))
    assert refused["failed"]
    assert "without a key" in refused["msg"]


def test_a_taken_port_is_named_with_its_holder(site, port):
    with socket.create_server(("127.0.0.1", port)):
        refused = site(chat(port))
    assert refused["failed"]
    assert str(port) in refused["msg"]
    assert str(os.getpid()) in refused["msg"]
    assert not os.path.exists(site.root / "supervisor" / "conf.d" / "llama-chat.conf")


def test_two_instances_may_swap_their_ports(site, port):
    with socket.create_server(("127.0.0.1", 0)) as found:
        second = found.getsockname()[1]
    assert not site(chat(port), {**chat(second), "name": "other"})["failed"]
    swapped = site(chat(second), {**chat(port), "name": "other"})
    assert not swapped["failed"], swapped["msg"]
    assert f"--port {second}" in swapped["instances"]["chat"]["command_line"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"options": {"flash_atn": "on"}}, "flash_attn"),
        ({"options": {"port": 1}}, "port"),
        ({"options": {"ctx_size": 1}}, "ctx_size"),
        ({"model": "unknown"}, "not on this host"),
        ({"model": "/nowhere/model.gguf"}, "there is no file"),
        ({"build": "no-such-build"}, "no-such-build"),
        ({"state": "running"}, "state"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_changed(site, port, change, said):
    refused = site(chat(port, **change))
    assert refused["failed"]
    assert said in refused["msg"]
    assert not os.path.exists(site.root / "supervisor" / "conf.d" / "llama-chat.conf")


def test_a_truncated_model_is_refused_before_launch(site, port, tmp_path):
    whole = next((site.root / "models").rglob("*.gguf")).read_bytes()
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(whole[: len(whole) // 2])
    refused = site(chat(port, model=str(broken)))
    assert refused["failed"]
    assert "bytes" in refused["msg"]


def test_a_failed_change_names_its_reason_and_what_ran_before_runs_again(site, port):
    site(chat(port))
    failed = site(chat(port, options={"chat_template_file": "/nowhere/template.jinja"}))
    assert failed["failed"]
    assert "template" in failed["msg"]
    assert failed["restored"]
    back = site(chat(port))
    assert not back["changed"]
    assert back["instances"]["chat"]["pid"]


def test_what_is_not_listed_is_reported_and_removed_only_when_asked(site, port):
    site(chat(port))
    assert site()["orphans"] == ["chat"]
    assert site()["changed"] is False
    assert site(purge=True)["instances"]["chat"]["actions"] == ["remove"]


def test_a_foreign_unit_is_left_alone(site, port):
    site(chat(port))
    site(chat(port, state="stopped"))
    path = site.root / "supervisor" / "conf.d" / "llama-chat.conf"
    path.write_text("[program:llama-chat]\ncommand=/bin/true\n")
    refused = site(chat(port))
    assert refused["failed"]
    assert "not written by" in refused["msg"]
    assert path.read_text().startswith("[program:llama-chat]")
    path.unlink()


def test_info_shows_what_is_there(site, port, ansible_module):
    shown = site(chat(port))["instances"]["chat"]
    found = ansible_module("llama_instance_info", {"root": str(site.root), "scope": "user", "manager": "supervisor"})
    entry = found["instances"]["chat"]
    assert (entry["pid"], entry["health"], entry["enabled"]) == (shown["pid"], "ready", True)
    assert entry["command_line"] == shown["command_line"]


def test_the_preview_works_on_an_empty_host(ansible_module, tmp_path, port):
    arguments = {"root": str(tmp_path / "none"), "scope": "user", "manager": "supervisor", "instances": [chat(port)]}
    seen = ansible_module("llama_instance", arguments, check=True)
    assert not seen["failed"]
    assert seen["changed"]
    assert seen["warnings"]
    assert not (tmp_path / "none").exists()
