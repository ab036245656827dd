# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory may say of an instance."""

from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import definition, keyfile
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.placement import Devices

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
        ({"kind": "chat"}, "Possible: server, embedding"),
        ({"kind": "router"}, "is a router: model belong to its models"),
        ({"models": {"a": {"model": "tiny"}}}, "models belong to the kind router"),
        ({"bind": "/run/a.sock"}, "Leave port and tls out"),
        ({"bind": "/run/a.socket", "port": None}, "ends in .sock"),
        ({"bind": "/" + "a" * 120 + ".sock", "port": None}, "at most 107 bytes"),
        ({"tls": {"cert": "/c"}}, "tls.key must be one line of text"),
        ({"tls": {"cert": "c", "key": "/k"}}, "tls.cert must be an absolute path"),
        ({"tls": {"crt": "/c"}}, "Did you mean cert"),
        ({"devices": ["0"]}, "an index changes when a card does"),
        ({"devices": "GPU-1; rm"}, "names no device"),
        ({"devices": ["GPU-1", "GPU-1"]}, "listed twice"),
        ({"devices": {"count": 0}}, "devices.count must be a whole number from 1"),
        ({"devices": {"cnt": 1}}, "Did you mean count"),
        ({"rpc": [{"host": "h", "worker": "W"}]}, "cannot name a worker"),
        ({"rpc": [{"host": "h", "worker": "w", "address": "h"}]}, "not host:port"),
        ({"rpc": [{"host": "h", "worker": "w", "address": "h:70000"}]}, "not host:port"),
        ({"ctx_size": "full"}, "from 1 to 1073741824 or auto"),
        ({"gpu_layers": "most"}, "or auto or all"),
        ({"tensor_split": [0, 0]}, "gives no device a share"),
        ({"tensor_split": "a,b"}, "tensor_split must be a number"),
        ({"split_mode": "rows"}, "Possible: none, layer, row, tensor"),
        ({"cpu_moe": True, "n_cpu_moe": 3}, "exclude each other"),
        ({"cpu_moe": "yes"}, "true or false"),
        ({"plan": {"allow": ["magic"]}}, "Possible: n_cpu_moe"),
        ({"plan": {"forse": True}}, "Did you mean force"),
        ({"mmproj": "p.gguf"}, "mmproj must be an absolute path"),
        ({"lora": [{"path": "/a"}]}, "no key 'path'"),
        ({"lora": [{"file": "/a", "scale": "big"}]}, "lora.scale must be a number"),
        ({"alias": ["a,b"]}, "without commas"),
        ({"proof": "ranks"}, "for the kind rerank"),
        ({"spec": {"draft": "small"}}, "needs a type"),
        ({"spec": {"type": "magic"}}, "Possible: draft-simple"),
        ({"spec": {"type": "draft-simple"}}, "needs a draft model, and none is guessed"),
        ({"spec": {"type": "draft-simple", "draft": "own"}}, "own is for the type draft-mtp"),
        ({"spec": {"type": "draft-mtp"}}, "needs a draft source"),
        ({"spec": {"type": ["ngram-mod"], "draft": "small"}}, "use no draft model"),
        ({"spec": {"type": "ngram-mod", "n_maxx": 1}}, "Did you mean n_max"),
        ({"spec": {"type": "ngram-mod", "p_min": 2}}, "p_min must be a number from 0 to 1"),
        ({"spec": {"type": "ngram-mod", "cpu_strict": 2}}, "from 0 to 1"),
        ({"spec": {"type": "ngram-mod", "cpu_moe": True, "n_cpu_moe": 1}}, "exclude each other"),
        ({"kind": "embedding", "spec": {"type": "ngram-mod"}}, "only the kind server generates text"),
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


def test_what_the_plan_may_choose():
    given = {
        "ctx_size": "auto",
        "parallel": "auto",
        "tensor_split": "auto",
        "n_cpu_moe": "auto",
        "cache_type_k": "auto",
    }
    found = definition.read({**LEAST, **given, "gpu_layers": "auto"})
    assert {getattr(found, key) for key in given} == {"auto"}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("auto", None),
        ("none", Devices()),
        ("GPU-8a5f4a6e-7b0f-4b5c-9f2e-1c2d3e4f5a6b", Devices(("GPU-8a5f4a6e-7b0f-4b5c-9f2e-1c2d3e4f5a6b",))),
        (["MIG-1/2/3", "pci:0000:03:00.0"], Devices(("MIG-1/2/3", "pci:0000:03:00.0"))),
        ({"count": 2, "name": "H100"}, Devices((), 2, "H100")),
    ],
)
def test_ways_to_name_devices(value, found):
    assert definition.read({**LEAST, "devices": value}).devices == found


def test_a_router_has_models():
    entry = {"name": "all", "kind": "router", "port": 8080, "models": {"b": {"model": "x"}, "a": {"model": "/y.gguf"}}}
    found = definition.read(entry)
    assert [(item.name, item.model, item.kind) for item in found.models] == [
        ("a", "/y.gguf", "server"),
        ("b", "x", "server"),
    ]


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ({}, "a router without models"),
        ({"a": {}}, "the model 'a' names no model"),
        ({"A": {"model": "x"}}, "cannot name a model of a router"),
        ({"a": {"model": "x", "port": 1}}, "the model 'a' has no key 'port'"),
        ({"a": {"model": "x", "kind": "router"}}, "cannot be of the kind router"),
        ({"a": "x"}, "must be a dictionary"),
    ],
)
def test_wrong_models_of_a_router(models, said):
    with pytest.raises(InvalidInput, match=said):
        definition.read({"name": "all", "kind": "router", "port": 8080, "models": models})


def test_sockets_and_tls_reach_the_probe():
    assert definition.read({"name": "a", "model": "x", "bind": "/run/a.sock"}).url == "unix:/run/a.sock"
    found = definition.read({**LEAST, "tls": {"cert": "/c.pem", "key": "/k.pem"}})
    assert found.url == "https://127.0.0.1:8080#/c.pem"


def test_names_and_ports_are_unique():
    with pytest.raises(InvalidInput, match="name chat"):
        definition.read_all([LEAST, {**LEAST, "port": 8081}])
    with pytest.raises(InvalidInput, match="port 8080 is given to two instances .chat and other"):
        definition.read_all([LEAST, {**LEAST, "name": "other"}])
    gone = {"name": "other", "state": "absent", "port": 8080}
    assert len(definition.read_all([LEAST, gone])) == 2


def test_key_file_holds_one_key_a_line():
    chat = definition.read({**LEAST, "keys": ["team", "ops"]})
    assert keyfile.key_text(chat, {"team": "aaaaaaaa", "ops": "bbbbbbbb"}) == "aaaaaaaa\nbbbbbbbb\n"


@pytest.mark.parametrize("value", ["", "short", "#comment-key", "two words", "line\nbreak-in-it", "x" * 513])
def test_keys_the_file_cannot_hold_are_refused_unseen(value):
    chat = definition.read({**LEAST, "keys": ["team"]})
    with pytest.raises(InvalidInput) as caught:
        keyfile.key_text(chat, {"team": value})
    assert not value or value not in str(caught.value)


def test_a_key_without_value_is_refused():
    chat = definition.read({**LEAST, "keys": ["team"]})
    with pytest.raises(InvalidInput, match="no value. Known keys: ops"):
        keyfile.key_text(chat, {"ops": "x" * 8})
