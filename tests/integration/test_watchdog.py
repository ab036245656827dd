# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watchdog against real servers: what it sees of one that works, sleeps or hangs."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import probe, proof, watchdog
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.watchdog import Look, Memory, Rules

QUICK = Rules(token_every=0.0, pause=0.1)


class Process:
    """A running llama-server without a manager; `ended` counts how often the watchdog would have ended it."""

    def __init__(self, pid, url, sleepy=False, deadline=1.0):
        self.pid, self.url, self.sleepy, self.deadline, self.ended = pid, url, sleepy, deadline, 0

    def service(self):
        return watchdog.Service("active", self.pid, 1)

    def look(self):
        said = probe.look(self.url, None, self.sleepy, self.deadline)
        return Look(said["state"], said["busy"], said["progress"])

    def token(self):
        try:
            probe.prove("server", self.url, None, self.deadline)
        except probe.ProbeError as exc:
            return watchdog.REFUSED if 400 <= exc.status < 500 else watchdog.MISSED
        return watchdog.ANSWERED

    def work(self, pid):
        return watchdog.cpu_seconds(pid)

    def now(self):
        return time.monotonic()

    def sleep(self, seconds):
        time.sleep(seconds)

    def end(self):
        self.ended += 1

    def start(self):
        return False


@pytest.fixture
def server(site, port):
    """`server(**fields)` starts an instance and returns it as the watchdog sees it."""

    def start(sleepy=False, **fields):
        shown = site({"name": "chat", "model": "tiny", "port": port, **fields})["instances"]["chat"]
        return Process(shown["pid"], shown["url"], sleepy)

    return start


def generate(url, count):
    """Requests without an end, until the server is stopped."""
    body = {"prompt": "Hello", "n_predict": -1, "ignore_eos": True, "stream": True}

    def ask():
        request = urllib.request.Request(f"{url}/completion", json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request) as answer:
                answer.read()
        except (OSError, http.client.HTTPException):
            return

    for _number in range(count):
        threading.Thread(target=ask, daemon=True).start()


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_full_slots_are_work_and_no_hang(server):
    seen = server(parallel=2, ctx_size=8192, drain_timeout=0)
    generate(seen.url, 6)
    wait_for(lambda: proof.busy_slots(seen.url) == 2)
    memory, verdicts = Memory(), []
    for _look in range(6):
        verdict, memory = watchdog.watch(seen, memory, QUICK)
        verdicts.append(verdict)
    assert set(verdicts) <= {"alive", "busy"}
    assert seen.ended == 0


def test_a_stopped_process_is_found_and_a_running_one_is_left(server):
    seen = server()
    assert watchdog.watch(seen, Memory(), QUICK)[0] == "alive"
    os.kill(seen.pid, signal.SIGSTOP)
    try:
        assert watchdog.watch(seen, Memory(), QUICK)[0] == "cured"
    finally:
        os.kill(seen.pid, signal.SIGCONT)
    assert seen.ended == 1


def test_a_sleeping_model_is_not_woken_and_a_waking_one_not_kept_awake(server):
    seen = server(sleepy=True, options={"sleep_idle_seconds": 1})

    def asleep():
        return probe.look(seen.url, None, True)["state"] == probe.SLEEPING

    wait_for(asleep)  # though it was looked at all the time
    for _look in range(3):
        assert watchdog.watch(seen, Memory(), QUICK)[0] == "sleeping"
    assert asleep()


def test_the_installed_command_tells_progress(server, site):
    seen = server()
    argv = [sys.executable, str(site.root / "libexec" / "llama-probe"), seen.url, "--look"]

    def look():
        return json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)

    before = look()
    assert (before["ok"], before["state"], before["busy"]) == (True, "ready", False)
    assert look()["progress"] == before["progress"]
    probe.prove("server", seen.url)
    assert look()["progress"] != before["progress"]
