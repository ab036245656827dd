# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where replicas go, and why."""

from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.place import wanted, written
from fleets import BIG, EIGHT, EXPERTS, GIB, HUGE, SMALL, card, documents, facts, run, where


def test_the_fullest_gpu_that_has_room_is_taken():
    described = {"alpha": facts(card("a", 80), card("b", 24)), "beta": facts(card("c", 24, used=10 * GIB))}
    assert where(run({"chat": {"model": EIGHT}}, described)) == {"chat": ("beta", ["c"])}


def test_replicas_stand_on_hosts_of_their_own_unless_they_need_not():
    described = {"alpha": facts(card("a", 80)), "beta": facts(card("b", 80))}
    assert sorted(
        host for host, _devices in where(run({"chat": {"model": EIGHT, "replicas": 2}}, described)).values()
    ) == ["alpha", "beta"]
    refused = run({"chat": {"model": EIGHT, "replicas": 3}}, described).refusals[0]
    assert refused.replicas == ("chat-3",) and refused.reasons == ("2 hosts: a replica is there, and spread is hosts",)
    assert refused.remedy.startswith("spread: none")
    beside = run({"chat": {"model": EIGHT, "replicas": 3, "spread": "none"}}, described)
    ports = sorted((bound.host, bound.entry["port"]) for bound in beside.bound)
    assert len(ports) == 3 and len(set(ports)) == 3 and min(port for _host, port in ports) == 8080


def test_a_model_for_two_gpus_takes_linked_ones_even_if_others_are_fuller():
    cards = [card(name, 48, numa=number // 2) for number, name in enumerate("abcd")]
    cards[0]["used"] = cards[2]["used"] = 2 * GIB
    linked = run({"big": {"model": BIG, "ctx_size": 32768}}, {"alpha": facts(*cards, pairs=((1, 3),))})
    assert sorted(where(linked)["big"][1]) == ["b", "d"] and "linked GPUs" in linked.bound[0].why
    by_node = run({"big": {"model": BIG, "ctx_size": 32768}}, {"alpha": facts(*cards)})
    assert sorted(where(by_node)["big"][1]) in (["a", "b"], ["c", "d"]) and "NUMA node" in by_node.bound[0].why
    entry = linked.bound[0].entry
    assert (
        len(entry["tensor_split"]) == 2
        and sum(entry["tensor_split"]) == 81
        and entry["devices"] == list(linked.bound[0].sizes)
    )


def test_one_large_gpu_is_better_than_two_small_ones():
    described = {"alpha": facts(card("a", 48), card("b", 48), pairs=((0, 1),)), "beta": facts(card("c", 80))}
    assert where(run({"big": {"model": BIG, "ctx_size": 32768}}, described))["big"] == ("beta", ["c"])


def test_more_gpus_than_needed_help_where_all_are_partly_taken():
    cards = [card(name, 48, used=24 * GIB) for name in "abc"]
    found = run({"big": {"model": BIG, "ctx_size": 32768}}, {"alpha": facts(*cards)})
    assert len(where(found)["big"][1]) == 3 and found.bound[0].rung == "more_devices"


def test_something_is_given_up_only_if_allowed():
    described = {"alpha": facts(card("a", 16))}
    refused = run({"moe": {"model": EXPERTS}}, described).refusals[0]
    assert refused.reasons[0].startswith("1 host: memory of GPUs, ") and "short at best" in refused.reasons[0]
    assert refused.remedy.startswith("plan: {allow: [n_cpu_moe]} would fit it on alpha, with n_cpu_moe ")
    allowed = run({"moe": {"model": EXPERTS, "plan": {"allow": ["n_cpu_moe"]}}}, described)
    assert allowed.bound[0].entry["n_cpu_moe"] > 0 and allowed.bound[0].rung == "n_cpu_moe"


def test_an_exclusive_model_shares_with_nobody():
    described = {"alpha": facts(card("a", 80), card("b", 80))}
    fleet = {"one": {"model": EIGHT, "exclusive": True, "priority": 1}, "two": {"model": SMALL, "port": 8081}}
    assert where(run(fleet, described)) == {"one": ("alpha", ["a"]), "two": ("alpha", ["b"])}
    busy = {"alpha": facts(card("a", 80, used=8 * GIB))}
    assert "one of its own" in run({"one": fleet["one"]}, busy).refusals[0].reasons[0]


def test_hosts_groups_and_names_of_gpus():
    described = {
        "alpha": facts(card("a", 80)),
        "beta": facts(card("b", 80, name="NVIDIA H200")),
        "gamma": facts(card("c", 80)),
    }
    groups = {"alpha": [], "beta": ["fast"], "gamma": ["fast"]}
    assert where(run({"x": {"model": SMALL, "hosts": ["fast"]}}, described, groups=groups))["x"][0] == "beta"
    assert where(run({"x": {"model": SMALL, "hosts": "gamma"}}, described, groups=groups))["x"][0] == "gamma"
    assert where(run({"x": {"model": SMALL, "devices": {"count": 1, "name": "h200"}}}, described))["x"][0] == "beta"
    refused = run({"x": {"model": SMALL, "devices": {"count": 1, "name": "B300"}}}, described).refusals[0]
    assert refused.reasons == ("3 hosts: no GPU whose name holds 'B300'",)


def test_two_gpus_when_two_are_asked_for():
    described = {"alpha": facts(card("a", 80)), "beta": facts(card("b", 24), card("c", 24))}
    found = where(run({"x": {"model": EIGHT, "devices": {"count": 2}}}, described))
    assert found["x"][0] == "beta" and sorted(found["x"][1]) == ["b", "c"]


def test_memory_and_disk_of_the_host_count():
    described = {"alpha": facts(card("a", 80), ram=8), "beta": facts(card("b", 80), disk=1)}
    refused = run({"x": {"model": EIGHT}}, described).refusals[0]
    assert sorted(refused.reasons) == ["1 host: disk", "1 host: memory of the host"]


def test_an_instance_of_the_inventory_keeps_its_name_and_port():
    described = {"alpha": facts(card("a", 80))}
    others = {"alpha": [{"other": {"model": "x", "port": 8080}}]}
    assert run({"x": {"model": SMALL}}, described, others=others).refusals[0].reasons == (
        "1 host: none of its ports is free",
    )
    assert run({"other": {"model": SMALL, "port": 9000}}, described, others=others).refusals[0].reasons == (
        "1 host: another instance is called other",
    )


def test_a_mig_device_takes_one_small_model():
    parts = [
        {"id": "MIG-1", "total": 10 * GIB, "used": 0, "name": "part"},
        {"id": "MIG-2", "total": 10 * GIB, "used": 0, "name": "part"},
    ]
    described = {"alpha": facts(card("a", 80, mig=True, mig_devices=parts))}
    found = run(
        {"x": {"model": SMALL}, "y": {"model": SMALL, "port": 8081}, "z": {"model": SMALL, "port": 8082}}, described
    )
    assert (
        sorted(device for bound in found.bound for device in bound.sizes) == ["MIG-1", "MIG-2"]
        and len(found.refusals) == 1
    )


def test_shared_memory_is_counted_once():
    described = {"alpha": facts(card("a", 120, unified=True), ram=120)}
    fleet = {f"x{number}": {"model": EXPERTS, "port": 8080 + number} for number in range(8)}
    found = run(fleet, described)
    assert 0 < len(found.bound) < 5 and sum(sum(bound.sizes.values()) + bound.ram for bound in found.bound) < 120 * GIB


def test_damaged_and_forbidden_gpus_get_nothing():
    cards = [card("a", 80, compute_mode="prohibited"), card("b", 80, remapped_rows={"failure": True, "pending": False})]
    assert run({"x": {"model": SMALL}}, {"alpha": facts(*cards)}).refusals[0].reasons == ("1 host: no GPU",)


def test_the_memory_of_strangers_is_left_to_them_and_our_own_is_not_counted_twice():
    fleet = {"x": {"model": EIGHT}}
    plain = {"alpha": facts(card("a", 24))}
    before = documents(run(fleet, plain), plain)
    ours = [{"pid": 1, "kind": "compute", "used": 7 * GIB, "unit": "llama-x.service", "command": "llama-server"}]
    running = {"alpha": facts(card("a", 24, used=7 * GIB, processes=ours))}
    again = run(fleet, running, before)
    assert documents(again, running) == before
    more = {**fleet, "y": {"model": EIGHT, "port": 8081}}
    assert "y" in where(run(more, running, before))
    strangers = [*ours, {"pid": 2, "kind": "compute", "used": 13 * GIB, "unit": "other.service", "command": "python3"}]
    crowded = {"alpha": facts(card("a", 24, used=20 * GIB, processes=strangers))}
    full = run(more, crowded, before)
    assert list(where(full)) == ["x"] and full.moves == []


def test_a_changed_wish_is_planned_again_where_it_stands():
    described = {"alpha": facts(card("a", 80)), "beta": facts(card("b", 24))}
    before = documents(run({"x": {"model": EIGHT}}, described), described)
    assert before["beta"][written.INSTANCES]["x"]["devices"] == ["GPU-b"]
    wider = run({"x": {"model": EIGHT, "ctx_size": 65536}}, described, before)
    assert where(wider)["x"] == ("beta", ["b"]) and wider.bound[0].entry["ctx_size"] == 65536 and wider.moves == []
    larger = run({"x": {"model": BIG, "ctx_size": 32768}}, described, before)
    assert where(larger)["x"] == ("alpha", ["a"])
    assert larger.moves == ["x moves to alpha from beta: what is asked now does not fit there."]


def test_why_a_replica_moves_or_goes():
    described = {"alpha": facts(card("a", 80)), "beta": facts(card("b", 24))}
    before = documents(run({"x": {"model": EIGHT}}, described), described)
    lost = run({"x": {"model": EIGHT}}, {"alpha": described["alpha"]}, before)
    assert lost.moves == ["x moves to alpha from beta: the host is gone."]
    replaced = run({"x": {"model": EIGHT}}, {**described, "beta": facts(card("new", 24))}, before)
    assert where(replaced)["x"] == ("beta", ["new"]) and "GPU-b is not there any more" in replaced.moves[0]
    assert run({}, described, before).moves == ["x is removed from beta: no longer asked for."]


def test_what_a_running_replica_has_on_disk_is_not_counted_again():
    fleet = {"x": {"model": EIGHT}, "y": {"model": SMALL, "port": 8081}}
    plain = {"alpha": facts(card("a", 80), disk=5)}
    before = documents(run({"x": fleet["x"]}, plain), plain)
    assert run(fleet, plain, before).refusals[0].reasons == ("1 host: disk",)
    ours = [{"pid": 1, "kind": "compute", "used": 7 * GIB, "unit": "llama-x.service", "command": "llama-server"}]
    assert "y" in where(run(fleet, {"alpha": facts(card("a", 80, used=7 * GIB, processes=ours), disk=5)}, before))


def test_a_port_that_another_instance_took_is_left_to_it():
    described = {"alpha": facts(card("a", 80))}
    before = documents(run({"x": {"model": SMALL, "replicas": 2, "spread": "none"}}, described), described)
    others = {"alpha": [{"mine": {"port": 8080}}]}
    moved = run({"x": {"model": SMALL, "replicas": 2, "spread": "none"}}, described, before, others=others)
    assert len(moved.refusals) == 1 and "another instance has the port 8080" in moved.moves[0]


def test_a_place_may_be_wished_for_by_hand():
    described = {"alpha": facts(card("a", 80)), "beta": facts(card("b", 24))}
    by_hand = {"alpha": {written.RECORDS: {"x": {"fleet": "x", "replica": 1, "devices": ["GPU-a"]}}}}
    assert where(run({"x": {"model": EIGHT}}, described, by_hand)) == {"x": ("alpha", ["a"])}
    for wrong, said in (({"fleets": "x"}, "fleet"), ({"fleet": "x"}, "names no devices"), ("x", "dictionary")):
        with pytest.raises(InvalidInput, match=said):
            written.standing({}, {"x": wrong}, "alpha")


def test_workers_help_where_no_host_has_room_and_it_is_asked_for():
    described = {name: facts(card(f"{name}1", 80), card(f"{name}2", 80), ram=1024) for name in ("alpha", "beta")}
    asked = {"huge": {"model": HUGE, "ctx_size": 131072}}
    refused = run(asked, described).refusals[0]
    assert "span: true" in refused.remedy or refused.remedy.startswith("plan")
    span = run({"huge": {**asked["huge"], "span": True}}, described)
    (bound,) = span.bound
    assert bound.rung == "rpc" and bound.host == "alpha" and {worker.host for worker in bound.workers} == {"beta"}
    held = documents(span, described)
    assert held["beta"][written.WORKERS] == {
        worker.name: {"port": worker.port, "devices": [worker.device]} for worker in bound.workers
    }
    entry = held["alpha"][written.INSTANCES]["huge"]
    assert entry["rpc"] == [{"host": "beta", "worker": worker.name} for worker in bound.workers]
    assert len(entry["tensor_split"]) == len(entry["devices"]) + len(entry["rpc"])
    again = run({"huge": {**asked["huge"], "span": True}, "small": {"model": SMALL, "port": 9000}}, described, held)
    places = {other.name: other for other in again.bound}
    assert places["huge"].workers == bound.workers and places["huge"].entry == bound.entry
    assert not set(places["small"].sizes) & {worker.device for worker in bound.workers}
    apart = run({"huge": {**asked["huge"], "span": True}}, described, zones={"alpha": "one", "beta": "two"})
    assert apart.bound == []


def test_lines_for_people():
    described = {"alpha": facts(card("a", 24))}
    fleet = {"x": {"model": EIGHT}, "big": {"model": BIG, "ctx_size": 32768, "port": 8081}}
    shown = "\n".join(written.lines(run(fleet, described)))
    assert "alpha  x" in shown and "one GPU" in shown and "NO PLACE for big:" in shown
    assert written.lines(run({}, described)) == ["Nothing is asked for in llama_fleet."]


MISTAKES = {
    "no dictionary": ([], "must be a dictionary"),
    "entry": ({"x": 3}, "must be a dictionary"),
    "key": ({"x": {"model": SMALL, "replica": 2}}, "replicas"),
    "host": ({"x": {"model": SMALL, "hosts": ["alfa"]}}, "alpha"),
    "spread": ({"x": {"model": SMALL, "spread": "racks"}}, "hosts, none"),
    "replicas": ({"x": {"model": SMALL, "replicas": -1}}, "replicas must be a whole number"),
    "devices": ({"x": {"model": SMALL, "devices": ["GPU-a"]}}, "names its devices itself"),
    "no GPU": ({"x": {"model": SMALL, "devices": "none"}}, "names its devices itself"),
    "span": ({"x": {"model": SMALL, "devices": {"count": 2}, "span": True}}, "and span"),
    "rung": ({"x": {"model": SMALL, "plan": {"allow": ["ctx"]}}}, "ctx_size"),
    "kind": ({"x": {"kind": "router", "models": {}}}, "models"),
    "name": ({"x": {"model": SMALL, "replicas": 2}, "x-2": {"model": SMALL}}, "would be called 'x-2'"),
    "socket": ({"x": {"model": SMALL, "port": None, "bind": "/run/x.sock"}}, "socket"),
    "model": ({"x": {"model": "/m/other"}}, "found neither here nor on a host"),
}


@pytest.mark.parametrize(("fleet", "said"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_named(fleet, said):
    with pytest.raises(InvalidInput, match=said):
        if isinstance(fleet, dict) and all(isinstance(entry, dict) for entry in fleet.values()):
            run(fleet, {"alpha": facts(card("a", 24))})
        else:
            wanted.read(fleet, {}, {}, ["alpha"])


def test_defaults_of_instances_count():
    entry = {"x": {"model": SMALL, "port": 8080, "options": {"ubatch_size": 256}}}
    defaults = {"ctx_size": 4096, "options": {"flash_attn": "on", "threads": 4}}
    (found,) = wanted.read(entry, defaults, {}, [])
    assert found.options == {"ctx_size": 4096, "parallel": 1, "flash_attn": "on", "ubatch_size": 256}
    assert dict(found.entry) == entry["x"]
