# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an instance says about its front, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import CommandFailed, InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import definition, front

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
        {"name": "auto", "listen": "127.0.0.1:8082", "port": 18082, "slots": 1, "wait": 5},
        {"name": "chat", "listen": "127.0.0.1:8080", "port": 18080, "slots": 4, "wait": front.WAIT},
    ]


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


def test_a_front_that_does_not_answer_is_an_error(tmp_path):
    (tmp_path / "admin.sock").touch()
    with pytest.raises(CommandFailed, match="does not answer"):
        front.Gate("chat", str(tmp_path / "admin.sock")).hold()
