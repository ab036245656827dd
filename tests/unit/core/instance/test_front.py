# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an instance says about its front, and what is refused."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import Busy, CommandFailed, InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host import ports
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import definition, front
from fixtures.haproxy import Haproxy

CHAT: dict[str, Any] = {"name": "chat", "model": "tiny", "port": 18080, "front": {"port": 8080}}


def test_entries_of_the_configuration():
    instances = definition.read_all(
        [
            {**CHAT, "parallel": 4},
            {"name": "plain", "model": "tiny", "port": 8081},
            {**CHAT, "name": "auto", "port": 18082, "parallel": "auto", "front": {"port": 8082, "wait": 5}},
            {**CHAT, "name": "gone", "state": "absent"},
        ]
    )
    assert front.entries(instances) == [
        {"name": "auto", "listen": "127.0.0.1:8082", "port": 18082, "slots": 0, "wait": 5},
        {"name": "chat", "listen": "127.0.0.1:8080", "port": 18080, "slots": 4, "wait": front.WAIT},
    ]
    planned = front.entries(instances, {"auto": 3, "chat": 9})
    assert [entry["slots"] for entry in planned] == [3, 4]  # what is given counts, and what the plan made of `auto`


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"front": {"port": 8080, "prot": 1}}, "prot"),
        ({"front": {}, "port": 8080}, None),
        ({"front": {"bind": "loopback"}}, "port"),
        ({"front": {"port": 18080}}, "same port"),
        ({"front": {"port": 8080, "bind": "public"}}, "without a key"),
        ({"front": {"port": 8080, "bind": "public"}, "keys": ["team"]}, None),
        ({"bind": "public", "keys": ["team"]}, "plain HTTP"),
        ({"tls": {"cert": "/a", "key": "/b"}}, "plain HTTP"),
    ],
)
def test_what_cannot_stand_behind_a_front(change, reason):
    if reason is None:
        definition.read_all([{**CHAT, **change}])
    else:
        with pytest.raises(InvalidInput, match=reason):
            definition.read_all([{**CHAT, **change}])


def test_the_port_of_a_front_belongs_to_one():
    with pytest.raises(InvalidInput, match="front of chat"):
        definition.read_all([CHAT, {"name": "other", "model": "tiny", "port": 8080}])


def test_without_a_front_a_change_goes_on(tmp_path):
    gate = front.Gate("chat", str(tmp_path / "admin.sock"))
    gate.hold()
    gate.admit(4)
    gate.retire(front.NEXT)
    assert not gate.there and not gate.held()


@pytest.mark.parametrize(
    ("servers", "held"),
    [
        ({"main": 0, "next": 1}, False),
        ({"main": 1, "next": 1}, True),
        ({"main": 4, "next": 0}, False),  # a bit that means something else
        ({"main": 1, "next": 0}, True),  # the server beside it serves
        ({"main": 1, "next": 1, "park": 0}, True),
    ],
)
def test_a_change_that_was_cut_off_shows_in_the_front(tmp_path, servers, held):
    with Haproxy(str(tmp_path / "admin.sock"), **servers) as haproxy:
        threading.Thread(target=haproxy.serve_forever, args=(0.01,), daemon=True).start()
        gate = front.Gate("chat", str(tmp_path / "admin.sock"))
        assert (gate.there, gate.held()) == (True, held)
        other = front.Gate("other", str(tmp_path / "admin.sock"))
        assert (other.there, other.held()) == (False, False)
        gate.hold()
        assert haproxy.said == [f"set server llama-chat/{name} state maint" for name in ("main", "next")]
        haproxy.said.clear()
        gate.admit(4, front.NEXT, 40123)
        assert haproxy.said == [
            "set server llama-chat/next addr 127.0.0.1 port 40123",
            "set server llama-chat-looks/next addr 127.0.0.1 port 40123",
            "set maxconn server llama-chat/next 4",
            "set server llama-chat/next health up",
            "set server llama-chat/next state ready",
        ]
        haproxy.shutdown()


def test_a_front_that_does_not_answer_is_an_error(tmp_path):
    (tmp_path / "admin.sock").touch()
    with pytest.raises(CommandFailed, match="does not answer"):
        front.Gate("chat", str(tmp_path / "admin.sock")).hold()


@pytest.mark.parametrize("path", ["", "/nowhere/admin.sock"])
def test_a_gate_without_a_front_has_no_requests_and_holds_nothing(path):
    gate = front.Gate("chat", path)
    gate.hold()
    gate.retire(front.MAIN)
    gate.admit(1)
    assert (gate.busy(), gate.held(), gate.there) == (0, False, False)


@pytest.mark.parametrize(
    ("held_by", "remedy"),
    [("nginx.service", "Stop that process, or choose another port."), ("llama-front.service", "in one run, and give")],
)
def test_who_holds_a_port_is_named_and_the_front_is_not_to_be_stopped(monkeypatch, held_by, remedy):
    holder = ports.Holder("127.0.0.1", 8080, 0, 812, "program", held_by)
    monkeypatch.setattr(ports, "holder", lambda host, port: holder)
    new = definition.read({"name": "chat", "model": "tiny", "port": 8080})
    with pytest.raises(Busy, match=rf"port 8080, which process 812 \(program, {held_by}\) holds") as caught:
        front.require_port(new, ())
    assert remedy in caught.value.remedy
    assert ("Stop that process" in caught.value.remedy) == (held_by == "nginx.service")
    front.require_port(new, {812})
