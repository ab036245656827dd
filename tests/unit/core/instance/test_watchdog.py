# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the watchdog ends a server, and when it must not: on a clock that runs as fast as the test."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import definition, probe, watchdog
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import speed as speeds
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.watchdog import (
    Look,
    Memory,
    Rules,
    Service,
    watch,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree

EVERY = 30.0


class Simulated:
    """A server on a host: `answers` says after how many seconds a token comes (None: never), given the time."""

    def __init__(self, *, answers=lambda now: 0.1, look=lambda now: Look("ready"), load=lambda now: 1.0, sleepy=False):
        self.clock, self.ended, self.started, self.tokens = 0.0, [], 0, []
        self.answers, self.see, self.load, self.sleepy = answers, look, load, sleepy
        self.state, self.worked, self.timer, self.forgiven = Service("active", 100, 1), 0.0, True, []

    def _pass(self, seconds):
        self.worked += seconds * self.load(self.clock)
        self.clock += seconds

    def service(self):
        return self.state

    def look(self):
        self._pass(0.01)
        return self.see(self.clock)

    def token(self):
        self.tokens.append(self.clock)
        needed = self.answers(self.clock)
        if needed in (watchdog.REFUSED, watchdog.BLIND):
            return needed
        late = needed is None or needed > 20
        self._pass(20 if late else needed)
        return watchdog.MISSED if late else watchdog.ANSWERED

    def work(self, pid):
        return self.worked

    def now(self):
        return self.clock

    def sleep(self, seconds):
        self._pass(seconds)

    def end(self):
        self.ended.append(self.clock)
        self.state = Service("active", self.state.pid + 1, 1)

    def start(self):
        self.started += self.timer
        return self.timer

    def forgive(self):
        self.forgiven.append(self.clock)
        self.state = replace(self.state, restarts=0)

    def live(self, seconds, memory=None):
        """Let the timer run for so long; returns the verdicts."""
        memory, verdicts, end = memory or Memory(), [], self.clock + seconds
        while self.clock < end:
            verdict, memory = watch(self, memory, Rules())
            verdicts.append(verdict)
            self._pass(EVERY)
        return verdicts


def stopped(now):
    return Look("unreachable")


def test_a_healthy_idle_server_generates_rarely_and_lives():
    server = Simulated(look=lambda now: Look("ready", False, [[1, 2, 3]]), load=lambda now: 0.0)
    assert set(server.live(3600)) == {"alive", "idle"}
    assert not server.ended
    assert 11 <= len(server.tokens) <= 13  # every five minutes


def test_crashes_of_long_ago_make_no_pause_longer():
    """systemd counts them since somebody started the service by hand, and doubles the pause with each."""
    server = Simulated(load=lambda now: 0.0)
    server.state = replace(server.state, restarts=6)
    server.live(590)
    assert not server.forgiven
    server.live(3600, Memory(100, 1, 0.0))
    assert len(server.forgiven) == 1 and server.forgiven[0] < 660


def test_what_crashes_again_and_again_is_not_forgiven():
    server = Simulated(answers=lambda now: None, load=lambda now: 0.0, look=stopped)
    server.state = replace(server.state, restarts=6)
    server.live(3600)
    assert not server.forgiven


def test_real_requests_are_proof_enough():
    server = Simulated(look=lambda now: Look("ready", True, [[1, 0, int(now)]]))
    assert set(server.live(600)) == {"alive"}
    assert len(server.tokens) == 1  # the first, when nothing was known


def test_twenty_minutes_with_all_slots_full_restart_nothing():
    server = Simulated(answers=lambda now: None, look=lambda now: Look("ready", True, [[1, 0, int(now * 5)]]))
    assert set(server.live(1200)) <= {"busy", "alive"}
    assert not server.ended


def test_a_prefill_of_200k_tokens_at_20_tokens_a_second_restarts_nothing():
    """A batch of 2048 tokens takes 102 s, in which neither health nor slots need to answer; all takes 2.8 hours."""

    def look(now):
        return Look("ready", True, [[7, int(now // 102.4) * 2048, 0]]) if now % 102.4 > 60 else Look("ready", True)

    server = Simulated(answers=lambda now: None, look=look)
    server.live(10_000)
    assert not server.ended


def test_a_long_batch_that_answers_nothing_at_all_is_given_fifteen_minutes():
    server = Simulated(answers=lambda now: 0.1 if now > 840 else None, look=lambda now: Look("unreachable"))
    server.live(1000)
    assert not server.ended
    hung = Simulated(answers=lambda now: None, look=stopped)
    hung.live(1200)
    assert 900 <= hung.ended[0] <= 1000


def test_a_stopped_process_is_ended_within_a_minute_of_the_first_look():
    server = Simulated(answers=lambda now: None, look=stopped, load=lambda now: 0.0)
    assert server.live(40) == ["cured"]
    assert server.ended[0] < 60


@pytest.mark.parametrize("state", ["sleeping", "loading"])
def test_sleeping_and_loading_models_are_left_alone(state):
    server = Simulated(answers=lambda now: None, look=lambda now: Look(state), load=lambda now: 0.0)
    assert set(server.live(3600)) == {state}
    assert not server.ended and not server.tokens


def test_a_model_that_may_sleep_is_not_kept_awake():
    server = Simulated(look=lambda now: Look("ready"), load=lambda now: 0.0, sleepy=True)
    assert set(server.live(3600)) == {"idle"}
    assert not server.tokens


def test_a_model_that_may_sleep_is_ended_when_it_hangs():
    server = Simulated(answers=lambda now: None, look=stopped, load=lambda now: 0.0, sleepy=True)
    server.live(40)
    assert len(server.ended) == 1


def test_a_key_that_it_refuses_is_no_reason_to_end_it():
    server = Simulated(answers=lambda now: "refused", load=lambda now: 0.0)
    server.live(3600)
    assert not server.ended


def test_one_that_nobody_could_ask_is_left_and_that_is_told():
    server = Simulated(answers=lambda now: watchdog.BLIND, look=stopped, load=lambda now: 0.0)
    verdicts = server.live(3600)
    assert not server.ended and set(verdicts) == {"blind"} and "blind" not in watchdog.QUIET


@pytest.mark.parametrize(("file", "said"), [("missing", "blind"), ("key", "missed")])
def test_only_a_server_that_was_asked_can_miss_a_token(tmp_path, file, said):
    """By the installed programs: nobody listens, which is the server's fault; a missing key is not."""
    for program in (probe, watchdog):
        name = "llama-" + program.__name__.rpartition(".")[2]
        (tmp_path / name).write_text(Path(program.__file__).read_text())
    (tmp_path / "key").write_text("secret\n")
    ask = """import argparse, runpy, sys
made = runpy.run_path(sys.argv[1])["Instance"]
print(made(argparse.Namespace(name="a", url="http://127.0.0.1:1", kind="server", key_file=sys.argv[2], sleepy=False,
                              user=True, timeout=2.0)).token())"""
    argv = [sys.executable, "-c", ask, tmp_path / "llama-watchdog", tmp_path / file]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip() == said


def test_a_server_that_never_answers_again_is_ended_three_times_and_then_left():
    server = Simulated(answers=lambda now: None, load=lambda now: 0.0)
    verdicts = server.live(3600)
    assert len(server.ended) == 3
    assert verdicts[-1] == "hopeless"


def test_an_answer_in_between_counts_from_the_start_again():
    server = Simulated(answers=lambda now: None if int(now) % 1000 > 500 else 0.1, load=lambda now: 0.0)
    server.live(10_000)
    assert len(server.ended) > 3


def test_another_process_is_another_case():
    server = Simulated(answers=lambda now: None, look=stopped, load=lambda now: 0.0)
    looks = server.service

    def restarted():
        server.state = Service("active", 100 + int(server.clock > 5), 1)
        return looks()

    server.service = restarted
    assert server.live(10) == ["changed"]


@pytest.mark.parametrize(
    ("state", "verdict", "starts"), [("failed", "down", 0), ("activating", "changed", 0), ("inactive", "retried", 1)]
)
def test_only_a_start_that_was_refused_is_tried_again(state, verdict, starts):
    server = Simulated()
    server.state = Service(state)
    assert watch(server, Memory(), Rules())[0] == verdict
    assert server.started == starts


def test_what_was_stopped_on_purpose_stays_so():
    server = Simulated()
    server.state, server.timer = Service("inactive"), False
    assert watch(server, Memory(), Rules())[0] == "down"


@pytest.mark.parametrize(
    ("timings", "speed"),
    [
        ({"predicted_n": 4, "predicted_ms": 100.0}, 30.0),
        ({"predicted_n": 1, "predicted_ms": 0.002}, None),  # the time of the first token is not measured
        ({"predicted_n": 4, "predicted_ms": 0}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_speed_is_that_of_all_tokens_but_the_first(timings, speed):
    assert probe.speed(timings) == speed


def test_the_probe_knows_every_kind_that_a_watchdog_asks_it_for():
    assert set(definition.KINDS) <= set(probe.KINDS)


@pytest.mark.parametrize(
    ("watched", "start", "speed"),
    [
        ({"pid": 7, "speed": 12.5}, {"pid": 7, "speed": 30.0}, 12.5),
        ({"pid": 6, "speed": 12.5}, {"pid": 7, "speed": 30.0}, 30.0),  # what another process did says nothing
        (None, {"pid": 7, "speed": None}, None),
        ("nonsense", {}, None),
    ],
)
def test_the_last_speed_is_that_of_the_process_that_runs(tmp_path, monkeypatch, watched, start, speed):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "llama-watchdog").mkdir()
    if watched is not None:
        (tmp_path / "llama-watchdog" / "llama-watchdog-chat.json").write_text(json.dumps(watched))
    assert speeds.last(Tree(str(tmp_path), "user"), "chat", 7, start) == speed
