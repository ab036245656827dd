# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet is said to be, and the files that follow from it."""

from __future__ import annotations

import json

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.fleet import exports, show, view

CHAT = {"model": "tiny", "port": 8080}


def ready(**fields):
    return {
        "kind": "server",
        "state": "ready",
        "active": True,
        "enabled": True,
        "detail": "active/running",
        "residency": "verified",
        "build_id": "b1",
        "model": "tiny",
        "uptime": 7200,
        "tokens_per_second": 41.66,
        "endpoint": "http://127.0.0.1:8080",
        "memory": {"planned": 3 << 30, "actual": 2 << 30},
        "devices": [],
        **fields,
    }


def host(instances=None, there=None, **fields):
    found = {"instances": {"chat": ready()} if there is None else there}
    base = {"found": found, "sources": {"llama_instances": {"chat": CHAT} if instances is None else instances}}
    return {**base, "models": {"tiny": {}}, "reached": "10.0.0.5", **fields}


def one(**given):
    (row,) = view.rows({"alpha": host(**given)})
    return row


def test_what_is_as_wanted_needs_no_reason():
    row = one()
    assert (row["state"], row["reasons"], row["wanted"]) == ("ready", [], True)
    assert " ".join(show.table([row])[1].split()) == (
        "alpha chat ready verified b1 tiny 2.0 GiB of 3.0 GiB 41.7 http://127.0.0.1:8080 2h"
    )


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"there": {}}, "not there"),
        ({"there": {"chat": ready(state="silent")}}, "silent"),
        ({"there": {"chat": ready(state="failed", active=False)}}, "failed"),
        ({"there": {"chat": ready(enabled=False)}}, "boot"),
        ({"there": {"chat": ready(residency="mismatch", residency_reasons=["3 layers on the CPU."])}}, "3 layers"),
        ({"there": {"chat": ready(model="other")}}, "other"),
        ({"there": {"chat": ready(), "old": ready()}, "instances": {"chat": CHAT}}, "does not list"),
        ({"instances": {"chat": {**CHAT, "state": "stopped"}}}, "wants it stopped"),
        ({"instances": {"chat": {"prot": 1}}}, "no key 'prot'"),
        ({"found": {"unreachable": True, "msg": "no route\nto host"}}, "no route to host"),
        ({"found": {"failed": True, "msg": "The system scope needs root."}}, "needs root"),
        ({"found": {}}, "said nothing"),
        ({"found": {"instances": {"chat": ready()}, "cordon": {"text": "by me"}}}, "cordoned"),
    ],
)
def test_what_is_not_as_wanted_says_why(given, word):
    lines = show.reasons(view.rows({"alpha": host(**given)}))
    assert len(lines) == 1 and word in lines[0] and lines[0].startswith("alpha")


@pytest.mark.parametrize(
    "given",
    [
        {"there": {"chat": ready(), "old": ready(state="stopped", active=False, enabled=False)}},
        {
            "there": {"chat": ready(state="stopped", active=False, enabled=False)},
            "instances": {"chat": {**CHAT, "state": "stopped"}},
        },
        {"there": {}, "instances": {"chat": {**CHAT, "state": "absent"}}},
        {"there": {}, "instances": {}},
        {
            "instances": {"chat": {**CHAT, "plan": {"allow_mismatch": True}}},
            "there": {"chat": ready(residency="mismatch")},
        },
        {"instances": {"chat": {**CHAT, "memory_max": "4GiB"}}},
    ],
)
def test_what_was_decided_so_is_no_failure(given):
    assert show.reasons(view.rows({"alpha": host(**given)})) == []


def test_a_host_out_of_reach_is_a_row_and_so_is_what_it_should_run():
    rows = view.rows({"beta": host(found={"unreachable": True, "msg": "x"}), "alpha": host()})
    assert [(row["host"], row["instance"], row["state"]) for row in rows] == [
        ("alpha", "chat", "ready"),
        ("beta", "", "unreachable"),
        ("beta", "chat", "unreachable"),
    ]
    assert rows[2]["model"] == "tiny"


def test_a_host_without_instances_is_a_row():
    assert [row["state"] for row in view.rows({"alpha": host(there={}, instances={})})] == ["empty"]


def test_a_cordoned_host_is_shown_and_does_not_fail():
    found = {
        "instances": {"chat": ready(state="stopped", active=False, enabled=False)},
        "cordon": {"text": "by ann: disk"},
    }
    row = one(found=found)
    assert (row["state"], row["reasons"]) == ("cordoned", [])
    assert show.remarks([row]) == ["alpha is cordoned: by ann: disk"]


def test_memory_is_that_of_the_gpus_where_there_are_some():
    devices = [{"id": "GPU-1", "planned": 5, "actual": 4}, {"id": "host", "planned": 100, "actual": 90}]
    assert view.memory(ready(devices=devices)) == {"planned": 5, "actual": 4}
    assert view.memory(ready(devices=[{**devices[0], "actual": None}])) == {"planned": 5, "actual": None}


OPEN = {**CHAT, "bind": "public", "keys": ["team-a"], "metrics": True, "parallel": 4, "alias": ["big one"]}


def exported(**hosts):
    return view.rows({name: host(**given) for name, given in hosts.items()})


def test_prometheus_gets_what_can_be_reached_and_has_metrics():
    rows = exported(
        alpha={"instances": {"chat": OPEN}}, beta={}, gamma={"instances": {"chat": {**OPEN, "metrics": False}}}
    )
    assert exports.prometheus(rows) == [
        {
            "targets": ["10.0.0.5:8080"],
            "labels": {
                "__scheme__": "http",
                "llama_host": "alpha",
                "llama_instance": "chat",
                "llama_kind": "server",
                "llama_model": "tiny",
                "llama_key": "team-a",
            },
        }
    ]


def test_an_instance_stays_in_the_exports_while_its_host_is_out_of_reach():
    rows = exported(alpha={"instances": {"chat": OPEN}, "found": {"unreachable": True}})
    assert [target["targets"] for target in exports.prometheus(rows)] == [["10.0.0.5:8080"]]


def test_litellm_balances_over_hosts_and_names_the_variable_of_the_key():
    rows = exported(alpha={"instances": {"chat": OPEN}}, beta={"instances": {"chat": OPEN}, "reached": "10.0.0.6"})
    made = exports.litellm(rows)["model_list"]
    assert [item["model_name"] for item in made] == ["big one", "big one"]
    assert made[1]["litellm_params"] == {
        "model": "openai/big one",
        "api_base": "http://10.0.0.6:8080/v1",
        "api_key": "os.environ/LLAMA_KEY_TEAM_A",
    }


def test_haproxy_queues_before_the_slots_and_goes_by_the_front_of_an_instance():
    behind = {**CHAT, "front": {"port": 9000, "bind": "10.0.0.7"}, "keys": ["team"]}
    lines = exports.haproxy(exported(alpha={"instances": {"chat": OPEN}}, beta={"instances": {"chat": behind}}))
    assert "backend llama-big_one" in lines and "backend llama-chat" in lines
    assert "    server alpha:chat 10.0.0.5:8080 check maxconn 4\n" in lines
    assert "    server beta:chat 10.0.0.7:9000 check maxconn 1\n" in lines


def test_tls_is_said_in_every_export_and_a_socket_stands_in_none():
    secure = {**OPEN, "port": 8081, "tls": {"cert": "/etc/tls/a.pem", "key": "/etc/tls/a.key"}}
    socket = {**{key: value for key, value in OPEN.items() if key != "port"}, "bind": "/run/llama-sock/llama.sock"}
    rows = exported(alpha={"instances": {"safe": secure, "sock": socket}, "there": {}})
    shown = {row["instance"]: row["endpoint"] for row in rows}
    assert shown == {"safe": "https://10.0.0.5:8081", "sock": "unix:/run/llama-sock/llama.sock"}
    (target,) = exports.prometheus(rows)
    assert (target["labels"]["__scheme__"], target["targets"]) == ("https", ["10.0.0.5:8081"])
    (model,) = exports.litellm(rows)["model_list"]
    assert model["litellm_params"]["api_base"] == "https://10.0.0.5:8081/v1"
    proxied = exports.haproxy(rows)
    assert "server alpha:safe 10.0.0.5:8081 check maxconn 4 ssl verify required" in proxied and "sock" not in proxied


@pytest.mark.parametrize(("slots", "said"), [(3, " maxconn 3\n"), (None, " check\n")])
def test_slots_that_the_plan_chose_are_those_of_the_host(slots, said):
    auto = {**OPEN, "parallel": "auto"}
    there = {} if slots is None else {"chat": ready(slots=slots)}
    assert said in exports.haproxy(exported(alpha={"instances": {"chat": auto}, "there": there}))


LENT = {"name": "w0", "client": "10.20.0.1"}
RUNS = {"state": "ready", "active": True, "enabled": True, "client": "10.20.0.1", "address": "10.20.0.5:50052",
        "uptime": 60, "build_id": "b1", "detail": "active/running"}  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "there", "state", "word"),
    [
        (LENT, RUNS, "ready", ""),
        (LENT, None, "missing", "not there"),
        (LENT, {**RUNS, "state": "waiting", "active": False}, "waiting", "waiting"),
        (LENT, {**RUNS, "state": "silent"}, "silent", "silent"),
        (LENT, {**RUNS, "enabled": False}, "ready", "boot"),
        (LENT, {**RUNS, "client": "10.20.0.9"}, "ready", "10.20.0.9"),
        (None, RUNS, "ready", "does not list"),
        ({**LENT, "client": ""}, RUNS, "ready", "no instance"),
        ({**LENT, "client": ""}, None, "stopped", ""),
        ({**LENT, "state": "stopped"}, {**RUNS, "state": "stopped", "active": False, "enabled": False}, "stopped", ""),
    ],
)
def test_workers_are_rows_too(wanted, there, state, word):
    found = {"instances": {}, "workers": {"w0": there} if there else {}}
    (row,) = view.rows({"beta": host(instances={}, found=found, workers=[wanted] if wanted else [])})
    assert (row["instance"], row["kind"], row["state"]) == ("rpc@w0", "rpc", state)
    lines = show.reasons([row])
    assert len(lines) == bool(word) and word in "".join(lines)
    assert exports.reachable([row]) == []
    assert ("(unlisted)" in show.table([row])[1]) == (wanted is None)


def test_the_workers_of_a_cordoned_host_stand_still():
    found = {"instances": {}, "workers": {"w0": {**RUNS, "state": "stopped", "active": False, "enabled": False}}}
    (row,) = view.rows({"beta": host(instances={}, found={**found, "cordon": {"text": "by ann"}}, workers=[LENT])})
    assert (row["state"], row["reasons"]) == ("cordoned", [])
    (row,) = view.rows(
        {"beta": host(instances={}, found={"instances": {}, "workers": {"w0": RUNS}, "cordon": {"text": "by ann"}})}
    )
    assert "cordon again" in row["reasons"][0]


def test_a_cordoned_host_is_in_no_export():
    found = {"instances": {}, "cordon": {"text": "by ann"}}
    rows = exported(alpha={"instances": {"chat": OPEN}, "found": found})
    assert exports.reachable(rows) == [] and json.dumps(exports.prometheus(rows)) == "[]"
