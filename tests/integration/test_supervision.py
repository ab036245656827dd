# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys, logs and restarts of instances under supervisord."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from ansible_runs import REPOSITORY


@pytest.fixture
def second_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def chat(port, **more):
    return {"name": "chat", "model": "tiny", "port": port, **more}


def ask(port, key, **body):
    head = {"Authorization": f"Bearer {key}"} if key else {}
    data = json.dumps({"prompt": "Hello", "n_predict": 1, **body}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/completion", data, head)
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, None


def test_a_made_key_opens_and_only_its_path_is_told(site, port):
    call = {"keys": {"team": "a-key-of-the-team"}, "made_keys": ["own"]}
    assert site(chat(port, keys=["team", "own"]), check=True, **call)["changed"]
    made = site(chat(port, keys=["team", "own"]), **call)
    own = Path(made["made_keys"]["own"]).read_text().strip()
    assert own not in str(made) and Path(made["made_keys"]["own"]).stat().st_mode & 0o077 == 0
    assert [ask(port, key)[0] for key in (own, "a-key-of-the-team", "another-key", "")] == [200, 200, 401, 401]
    assert not site(chat(port, keys=["team", "own"]), **call)["changed"]
    Path(made["made_keys"]["own"]).unlink()  # as a person does who wants another one
    assert site(chat(port, keys=["team", "own"]), **call)["instances"]["chat"]["actions"] == ["keys", "restart"]
    assert ask(port, own)[0] == 401


def test_a_key_is_changed_between_two_requests_not_within_one(site, port):
    old, new = "the-old-key-of-all", "the-new-key-of-all"
    slow = chat(port, keys=["team"], drain_timeout=300)
    site(slow, keys={"team": old})
    answers = []
    # the tiny model is fast; so many tokens take it a second or more
    long = threading.Thread(target=lambda: answers.append(ask(port, old, n_predict=3000, ignore_eos=True)))
    long.start()
    time.sleep(0.2)
    rotated = site(slow, keys={"team": new})
    long.join()
    assert rotated["instances"]["chat"]["actions"] == ["keys", "restart"]
    assert answers[0][0] == 200 and answers[0][1]["tokens_predicted"] == 3000
    assert (ask(port, old)[0], ask(port, new)[0]) == (401, 200)


def test_a_hang_is_shown_and_a_restart_cures_it(site, port, ansible_module):
    """supervisord has no timers, so no watchdog: whoever asks is told, and has the way out."""
    entry = chat(port, drain_timeout=0)
    pid = site(entry)["instances"]["chat"]["pid"]
    common = {"root": str(site.root), "scope": "user", "manager": "supervisor"}
    os.kill(pid, signal.SIGSTOP)
    seen = ansible_module("llama_instance_info", common)["instances"]["chat"]
    assert (seen["state"], seen["pid"]) == ("silent", pid)
    cured = site({**entry, "state": "restarted"})["instances"]["chat"]
    assert cured["pid"] not in (0, pid) and ask(port, "")[0] == 200


def test_the_log_is_json_since_the_last_start_with_the_reason(site, port, ansible_module):
    common = {"root": str(site.root), "scope": "user", "manager": "supervisor"}
    site(chat(port))
    site(chat(port, state="restarted"))
    ever = ansible_module("llama_log_info", {**common, "lines": 10_000})["logs"]["chat"]
    last = ansible_module("llama_log_info", {**common, "lines": 10_000, "since": "start"})["logs"]["chat"]
    assert 0 < len(last["lines"]) < len(ever["lines"])
    assert ever["lines"][-len(last["lines"]) :] == last["lines"]
    assert {json.loads(line)["type"] for line in last["lines"]} >= {"log"}
    assert (last["reason"], last["active"]) == (None, True)
    assert last["follow"].startswith("tail -F ")
    assert ansible_module("llama_log_info", {**common, "since": "10 min ago"})["failed"]
    assert "no instance 'other'" in ansible_module("llama_log_info", {**common, "names": ["other"]})["msg"]


def test_the_playbooks_restart_one_and_show_its_log(site, port, second_port, play):
    instances = {"chat": {"model": "tiny", "port": port}, "other": {"model": "tiny", "port": second_port}}
    before = site(chat(port), {**chat(second_port), "name": "other"})["instances"]
    variables = {"llama_root": str(site.root), "llama_scope": "user", "llama_manager": "supervisor"}
    variables |= {"llama_instances": instances, "llama_models": {"tiny": {"source": "builtin:tiny"}}}
    done = play(REPOSITORY / "playbooks/restart.yml", {**variables, "instance": "other"})
    assert done.rc == 0, done.output
    after = done.result("Bring the instances")["instances"]
    assert after["chat"]["pid"] == before["chat"]["pid"]
    assert after["other"]["actions"] == ["restart"] and after["other"]["proof"]["tokens"] >= 1
    refused = play(REPOSITORY / "playbooks/restart.yml", {**variables, "instance": "othr"})
    assert refused.rc != 0 and "Did you mean other?" in refused.output
    shown = play(REPOSITORY / "playbooks/logs.yml", {**variables, "instance": "other", "lines": 5})
    assert len(shown.result("Read them")["logs"]["other"]["lines"]) == 5
