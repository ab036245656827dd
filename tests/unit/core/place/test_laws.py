# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold of every placement, whatever the fleet."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

from fleets import GIB, MODELS, card, documents, facts, run
from hypothesis import given, settings
from hypothesis import strategies as st

sizes = st.sampled_from([16, 24, 48, 80])


@st.composite
def machines(draw: Any) -> dict[str, dict[str, Any]]:
    found = {}
    for number in range(draw(st.integers(1, 4))):
        size = draw(sizes)
        cards = [
            card(f"h{number}-{slot}", size, used=draw(st.integers(0, 12)) * GIB, numa=draw(st.integers(0, 1)))
            for slot in range(draw(st.integers(0, 4)))
        ]
        pairs = (
            tuple(draw(st.lists(st.sampled_from(list(itertools.combinations(range(len(cards)), 2))), max_size=3)))
            if len(cards) > 1
            else ()
        )
        found[f"h{number}"] = facts(
            *cards, pairs=pairs, ram=draw(st.sampled_from([32, 64, 512])), disk=draw(st.sampled_from([30, 4000]))
        )
    return found


entries = st.fixed_dictionaries(
    {
        "model": st.sampled_from(sorted(MODELS)),
        "replicas": st.integers(0, 3),
        "ctx_size": st.sampled_from([4096, 32768]),
    },
    optional={
        "priority": st.integers(-5, 5),
        "exclusive": st.booleans(),
        "spread": st.sampled_from(["hosts", "none"]),
        "devices": st.builds(lambda count: {"count": count}, st.integers(1, 3)),
        "plan": st.builds(lambda rung: {"allow": [rung]}, st.sampled_from(["n_cpu_moe", "cache_type", "ctx_size"])),
        "span": st.booleans(),
    },
).map(lambda entry: {**entry, "span": False} if "devices" in entry else entry)
fleets = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), entries, max_size=4)
few = settings(max_examples=25)


def used(placement: Any) -> dict[str, int]:
    """Bytes by device."""
    found: dict[str, int] = {}
    for bound in placement.bound:
        for device, size in [*bound.sizes.items(), *((worker.device, worker.bytes) for worker in bound.workers)]:
            found[device] = found.get(device, 0) + size
    return found


@few
@given(fleets, machines())
def test_nothing_is_promised_twice(fleet, described):
    placement = run(fleet, described)
    cards = {device["id"]: device for known in described.values() for device in known["devices"]}
    for device, size in used(placement).items():
        assert size <= cards[device]["total"] - cards[device]["used"]
    for host, known in described.items():
        there = [bound for bound in placement.bound if bound.host == host]
        assert sum(bound.ram for bound in there) <= known["host"]["memory"]["total"]
        models = {bound.wanted.key for bound in there}
        assert sum(MODELS[model].size for model in models) <= known["host"]["storage"]["free"]
        assert len({bound.entry["port"] for bound in there}) == len(there)
        spread = [bound.wanted.name for bound in there if bound.wanted.spread]
        assert len(set(spread)) == len(spread)
    for bound in placement.bound:
        if bound.wanted.exclusive:
            for device in bound.sizes:
                assert sum(device in other.sizes for other in placement.bound) == 1
        if bound.wanted.count and not bound.workers:
            assert len(bound.sizes) == bound.wanted.count


@few
@given(fleets, machines())
def test_every_replica_has_a_place_or_a_reason_of_every_host(fleet, described):
    placement = run(fleet, described)
    names = [bound.name for bound in placement.bound] + [
        name for refusal in placement.refusals for name in refusal.replicas
    ]
    wanted = [
        f"{name}-{number}" if number > 1 else name
        for name, entry in fleet.items()
        for number in range(1, entry["replicas"] + 1)
    ]
    assert sorted(names) == sorted(wanted)
    for refusal in placement.refusals:
        assert sum(int(reason.split()[0]) for reason in refusal.reasons) == len(described) and refusal.remedy


@few
@given(fleets, machines(), st.randoms(use_true_random=False))
def test_the_same_input_gives_the_same_bytes(fleet, described, order):
    first = json.dumps(documents(run(fleet, described), described))
    names, keys = list(described), list(fleet)
    order.shuffle(names)
    order.shuffle(keys)
    again = run({key: fleet[key] for key in keys}, {name: described[name] for name in names})
    assert json.dumps(documents(again, described)) == first


@few
@given(fleets, machines(), st.randoms(use_true_random=False))
def test_what_stands_stays(fleet, described, draw: random.Random):
    first = run(fleet, described)
    before = documents(first, described)
    again = run(fleet, described, before)
    assert documents(again, described) == before and again.moves == []
    # hosts without a replica may go, and hosts may come, and nobody moves for it
    busy = {bound.host for bound in first.bound} | {worker.host for bound in first.bound for worker in bound.workers}
    fewer = {name: known for name, known in described.items() if name in busy or draw.random() < 0.5}
    more = {**fewer, "a-new-one": facts(card("new", 80), card("newer", 80))}
    for changed in (fewer, more):
        found = run(fleet, changed, before)
        places = {bound.name: bound for bound in found.bound}
        assert all(
            places[bound.name].host == bound.host and places[bound.name].entry == bound.entry for bound in first.bound
        )
        assert found.moves == []


@few
@given(fleets, machines(), entries)
def test_a_further_wish_moves_nobody(fleet, described, entry):
    first = run(fleet, described)
    found = run({**fleet, "z": {**entry, "priority": 1000}}, described, documents(first, described))
    places = {bound.name: bound for bound in found.bound}
    assert all(places[bound.name].sizes == bound.sizes for bound in first.bound) and found.moves == []


@settings(max_examples=25)
@given(st.lists(st.sampled_from([4096, 16384, 49152, 98304]), min_size=1, max_size=6))
def test_few_gpus_are_used(contexts):
    """Against the best of all packings: best fit of the largest first is within 11/9 of it, and 6/9 of a GPU."""
    fleet = {
        f"m{number}": {"model": "/m/llama3.1-8b", "port": 9000 + number, "ctx_size": size, "spread": "none"}
        for number, size in enumerate(contexts)
    }
    placement = run(fleet, {"h": facts(*(card(str(slot), 24) for slot in range(6)))})
    wants = [sum(bound.sizes.values()) for bound in placement.bound]
    assert len(wants) == len(contexts)
    assert len(used(placement)) <= int(11 / 9 * optimum(wants, 24 * GIB) + 6 / 9)


def optimum(wants: list[int], room: int) -> int:
    """The least number of bins, by trying all."""

    def tried(number: int, bins: tuple[int, ...]) -> int:
        if number == len(wants):
            return len(bins)
        opened = tried(number + 1, (*bins, wants[number]))
        fitting = [slot for slot, filled in enumerate(bins) if filled + wants[number] <= room]
        return min(
            [
                opened,
                *(tried(number + 1, (*bins[:slot], bins[slot] + wants[number], *bins[slot + 1 :])) for slot in fitting),
            ]
        )

    return tried(0, ())
