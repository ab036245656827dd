# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory may say of an instance."""

from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import definition

LEAST = {"name": "chat", "model": "tiny", "port": 8080}


def test_three_lines_are_enough():
    chat = definition.read(LEAST)
    assert (chat.kind, chat.state, chat.host, chat.keys) == ("server", "started", "127.0.0.1", ())
    assert chat.loopback
    assert chat.url == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "Chat"}, "cannot name a instance"),
        ({"name": "../x"}, "cannot name"),
        ({"prot": 1}, "Did you mean port"),
        ({"port": None}, "port must be a whole number"),
        ({"port": 80}, "from 1024 to 65535"),
        ({"port": True}, "whole number"),
        ({"model": ""}, "names no model"),
        ({"model": "a\nb"}, "one line of text"),
        ({"kind": "router"}, "Possible: server, embedding"),
        ({"bind": "public"}, "without a key"),
        ({"bind": "192.0.2.7"}, "without a key"),
        ({"bind": "private"}, "llama_address"),
        ({"bind": "example.org"}, "cannot bind"),
        ({"bind": "0.0.0.0; rm"}, "cannot bind"),
        ({"parallel": 0}, "from 1 to 256"),
        ({"cache_type_k": "q3"}, "Possible"),
        ({"env": {"HF_TOKEN": "x"}}, "looks like a secret"),
        ({"env": {"LLAMA_ARG_PORT": "1"}}, "would set a flag unseen"),
        ({"env": {"a-b": "1"}}, "cannot name an environment variable"),
        ({"env": {"A": "1\nExecStart=/bin/sh"}}, "one line of text"),
    ],
)
def test_wrong_entries_are_refused_by_name(change, said):
    with pytest.raises(InvalidInput, match=said):
        definition.read({**LEAST, **change})


def test_secret_values_are_not_repeated():
    with pytest.raises(InvalidInput) as caught:
        definition.read({**LEAST, "env": {"API_KEY": "hunter2hunter2"}})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("bind", "url"),
    [("public", "http://127.0.0.1:8080"), ("::", "http://[::1]:8080"), ("private", "http://10.1.2.3:8080")],
)
def test_where_the_host_reaches_it(bind, url):
    found = definition.read({**LEAST, "bind": bind, "keys": ["team"]}, address="10.1.2.3")
    assert found.url == url


def test_names_and_ports_are_unique():
    with pytest.raises(InvalidInput, match="name chat"):
        definition.read_all([LEAST, {**LEAST, "port": 8081}])
    with pytest.raises(InvalidInput, match="port 8080 is given to two instances .chat and other"):
        definition.read_all([LEAST, {**LEAST, "name": "other"}])
    gone = {"name": "other", "state": "absent", "port": 8080}
    assert len(definition.read_all([LEAST, gone])) == 2


def test_key_file_holds_one_key_a_line():
    chat = definition.read({**LEAST, "keys": ["team", "ops"]})
    assert definition.key_text(chat, {"team": "aaaaaaaa", "ops": "bbbbbbbb"}) == "aaaaaaaa\nbbbbbbbb\n"


@pytest.mark.parametrize("value", ["", "short", "#comment-key", "two words", "line\nbreak-in-it", "x" * 513])
def test_keys_the_file_cannot_hold_are_refused_unseen(value):
    chat = definition.read({**LEAST, "keys": ["team"]})
    with pytest.raises(InvalidInput) as caught:
        definition.key_text(chat, {"team": value})
    assert not value or value not in str(caught.value)


def test_a_key_without_value_is_refused():
    chat = definition.read({**LEAST, "keys": ["team"]})
    with pytest.raises(InvalidInput, match="no value. Known keys: ops"):
        definition.key_text(chat, {"ops": "x" * 8})
