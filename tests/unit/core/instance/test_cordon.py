# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a host out of service, and stopping what no inventory lists; the service manager is a made-up one."""

from __future__ import annotations

import http.server
import threading
import time
from dataclasses import replace

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import cordon, front, prune
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.service import Status
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree
from fixtures.haproxy import Haproxy


class Managed:
    """Instances of a made-up host: name -> status. Unit files lie in its folder."""

    def __init__(self, folder, **states):
        self.folder, self.states, self.calls = folder, states, []

    def managed(self):
        return sorted(name for name in self.states if "@" not in name)

    def status(self, name):
        return self.states[name]

    def path(self, name):
        return str(self.folder / f"{name}.service")

    def enable(self, name, wanted):
        self.calls.append(("enable" if wanted else "disable", name))
        self.states[name] = replace(self.states[name], enabled=wanted)

    def stop(self, name):
        self.calls.append(("stop", name))
        self.states[name] = replace(self.states[name], active=False, waiting=False)


RUNS, STANDS = Status(True, 1, enabled=True), Status(False)


@pytest.fixture
def tree(tmp_path):
    return Tree(str(tmp_path), "user")


def test_a_cordon_stops_what_runs_and_what_would_start(tree, tmp_path):
    states = {"chat": RUNS, "idle": STANDS, "later": Status(False, enabled=True), "waits": Status(False, waiting=True)}
    manager = Managed(tmp_path, **states)
    names = cordon.up(manager)
    assert names == ["chat", "later", "waits"]
    cordon.put_up(tree, manager, cordon.wanted(None, "ann", "new disk"), names, 1)
    assert cordon.up(manager) == []
    assert manager.calls.index(("disable", "waits")) < manager.calls.index(("stop", "chat"))
    stands = cordon.read(tree)
    assert (stands.by, stands.reason) == ("ann", "new disk") and stands.text.endswith(": new disk")
    assert cordon.lift(tree) and cordon.read(tree) is None and not cordon.lift(tree)


def test_a_cordon_stops_what_is_lent_to_heads_elsewhere(tree, tmp_path):
    (tmp_path / "llama-rpc@w0.service").write_text("[X-LlamaOps]\nWorker=w0\n")
    manager = Managed(tmp_path, chat=RUNS, **{"rpc@w0": RUNS})
    assert cordon.up(manager) == ["chat", "rpc@w0"]
    cordon.put_up(tree, manager, cordon.wanted(None, "ann", ""), cordon.up(manager), 1)
    assert cordon.up(manager) == [] and ("stop", "rpc@w0") in manager.calls


def test_only_another_reason_replaces_a_cordon():
    first = cordon.Cordon("ann", "new disk", "2026-01-31T12:00:00Z")
    assert cordon.wanted(first, "bob", "") == first == cordon.wanted(first, "bob", "new disk")
    assert cordon.wanted(first, "bob", "fire").by == "bob"


@pytest.mark.parametrize("text", ["", "half a fi", "[]", '{"schema": 99, "by": {"nested": 1}}'])
def test_a_cordon_that_nobody_understands_still_stands(tree, tmp_path, text):
    (tmp_path / ".cordon").write_text(text)
    assert cordon.read(tree) is not None


class Busy(http.server.BaseHTTPRequestHandler):
    """A server that works on one request until `until`."""

    until = 0.0

    def do_GET(self):
        body = b'[{"is_processing": %s}]' % (b"true" if time.monotonic() < self.until else b"false")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        return


@pytest.fixture
def served(tmp_path):
    server = http.server.HTTPServer(("127.0.0.1", 0), Busy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    (tmp_path / "chat.service").write_text(f"[X-LlamaOps]\nURL=http://127.0.0.1:{server.server_port}\n")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("works", "patience", "least", "most"), [(0.7, 10, 0.6, 5), (60, 0.6, 0.5, 5), (0, 10, 0, 0.5)]
)
def test_requests_may_end_but_not_for_ever(tree, tmp_path, served, works, patience, least, most):
    Busy.until = time.monotonic() + works
    began = time.monotonic()
    cut = cordon.drain(tree, Managed(tmp_path, chat=RUNS), ["chat"], patience)
    assert least <= time.monotonic() - began < most
    assert cut == (works > patience)


@pytest.fixture
def haproxy(tmp_path, monkeypatch):
    """A front with one request at each of its servers."""
    path = str(tmp_path / "admin.sock")
    monkeypatch.setattr(front, "SOCKET", path)
    with Haproxy(path, sessions={"main": 1, "next": 1}, main=0, next=1) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def test_a_cordon_has_the_front_hold_what_comes_and_waits_for_what_was_sent(tmp_path, haproxy):
    tree = Tree(str(tmp_path), "system")
    manager = Managed(tmp_path, chat=RUNS, plain=RUNS)
    names = cordon.up(manager)
    assert cordon.put_up(tree, manager, cordon.Cordon(), names, 0.1) == 1  # `plain` has no front, and nothing to do
    assert haproxy.said == [f"set server llama-chat/{name} state maint" for name in ("main", "next")]
    assert ("stop", "chat") in manager.calls and cordon.up(manager) == []


def test_a_front_that_does_not_answer_keeps_no_host_in_service(tmp_path, monkeypatch):
    (tmp_path / "admin.sock").touch()
    monkeypatch.setattr(front, "SOCKET", str(tmp_path / "admin.sock"))
    manager = Managed(tmp_path, chat=RUNS)
    assert cordon.put_up(Tree(str(tmp_path), "system"), manager, cordon.Cordon(), ["chat"], 5) == 0
    assert cordon.up(manager) == []


def test_a_cordon_stops_what_a_change_that_was_cut_off_left_beside_an_instance(tmp_path, haproxy):
    (tmp_path / "chat--next.service").write_text("[X-LlamaOps]\nInstance=chat--next\n")
    manager = Managed(tmp_path, chat=STANDS)
    manager.states["chat--next"] = RUNS
    manager.managed = lambda: ["chat"]
    assert cordon.up(manager) == ["chat--next"]
    assert cordon.put_up(Tree(str(tmp_path), "system"), manager, cordon.Cordon(), ["chat--next"], 0.1) == 1
    assert cordon.up(manager) == []


@pytest.mark.parametrize(
    ("status", "actions"),
    [
        (RUNS, ("stop", "disable")),
        (Status(False, waiting=True), ("stop",)),
        (Status(False, enabled=True), ("disable",)),
        (STANDS, ()),
    ],
)
def test_what_nobody_lists_is_stopped_once(tree, tmp_path, status, actions):
    (step,) = prune.stops(tree, Managed(tmp_path, old=status), ["old"])
    assert step.actions == actions and not step.instance.wanted and step.before == step.after
    assert not step.successor


def test_what_a_change_left_beside_an_entry_that_is_gone_goes_with_it(tree, tmp_path):
    (tmp_path / "old--next.service").touch()
    (step,) = prune.stops(tree, Managed(tmp_path, old=STANDS), ["old"])
    assert step.actions == ("stop",) and step.successor
