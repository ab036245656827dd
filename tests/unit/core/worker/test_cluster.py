# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who works for whom, from an inventory; and what is refused before any host is touched."""

from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.filter.rpc_cluster import rpc_cluster
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.worker import cluster, definition

NETWORK = "10.20.0.0/24"


@pytest.fixture
def inventory():
    """A head, two hosts with workers, and one with nothing."""
    return {
        "head": {"llama_address": "10.20.0.1", "llama_instances": {"big": {"rpc": [
            {"host": "a", "worker": "w0"}, {"host": "b", "worker": "w0"}]}}},
        "a": {"llama_address": "10.20.0.2", "llama_rpc_workers": {"w0": {"cache_quota": "1GiB"}}},
        "b": {"llama_address": "192.168.7.3", "llama_rpc_address": "10.20.0.3",
              "llama_rpc_workers__placed": {"w0": {"port": 50060}}, "llama_rpc_workers": {"idle": {}}},
        "c": {"llama_address": "10.20.0.4"},
    }  # fmt: skip


def wired(inventory, host="head", **standing):
    instances = [{"name": "big", **inventory[host]["llama_instances"]["big"]}]
    return rpc_cluster(inventory, host, NETWORK, instances, standing)[0]["rpc"]


def refusal(call, *words, **more):
    with pytest.raises(Exception) as caught:
        call(*words, **more)
    return str(caught.value)


def test_a_worker_learns_the_address_of_the_host_that_names_it(inventory):
    assert rpc_cluster(inventory, "a", NETWORK) == [{"name": "w0", "cache_quota": "1GiB", "client": "10.20.0.1"}]
    found = {item["name"]: item["client"] for item in rpc_cluster(inventory, "b", NETWORK)}
    assert found == {"w0": "10.20.0.1", "idle": ""}  # nobody names the second: it stands still
    assert rpc_cluster(inventory, "c", NETWORK) == []


def test_a_head_learns_the_addresses_of_its_workers_and_what_they_run(inventory):
    rpc = wired(inventory, a={"w0": {"build_id": "b1", "commit": "c1"}})
    assert [item["address"] for item in rpc] == ["10.20.0.2:50052", "10.20.0.3:50060"]
    assert [(item["build"], item["commit"]) for item in rpc] == [("b1", "c1"), ("", "")]


def test_two_heads_for_one_worker_are_refused_on_every_host(inventory):
    inventory["c"]["llama_instances__more"] = {"other": {"rpc": [{"host": "a", "worker": "w0"}]}}
    for host in ("a", "b"):
        said = refusal(rpc_cluster, inventory, host, NETWORK)
        assert "'other' on c" in said and "'big' on head" in said and "'w0' on a" in said
    assert "two instances" in refusal(wired, inventory)
    inventory["c"]["llama_instances__more"]["other"]["state"] = "absent"
    assert wired(inventory)


def test_a_worker_that_is_not_there_is_refused_with_those_that_are(inventory):
    rpc = inventory["head"]["llama_instances"]["big"]["rpc"]
    rpc[0]["worker"] = "w1"
    assert "'w1', which a does not have. It has: w0." in refusal(wired, inventory)
    rpc[0].update(worker="w0", host="bb")
    assert "no host of the inventory. Did you mean b?" in refusal(wired, inventory)
    rpc[0].update(host="a")
    inventory["a"]["llama_rpc_workers"]["w0"]["state"] = "stopped"
    assert "not to run" in refusal(wired, inventory)


def test_variables_of_groups_add_up_unless_they_disagree(inventory):
    inventory["a"]["llama_rpc_workers__gpu"] = {"w0": {"cache_quota": "1GiB"}, "w1": {"port": 50053}}
    assert [item["name"] for item in rpc_cluster(inventory, "a", NETWORK)] == ["w0", "w1"]
    inventory["a"]["llama_rpc_workers__gpu"]["w0"] = {"port": 1234}
    assert "different contents" in refusal(rpc_cluster, inventory, "a", NETWORK)
    assert "Did you mean cache_quota?" in refusal(cluster.merge, {"llama_rpc_workers": {"w0": {"cache_qouta": 1}}})


@pytest.mark.parametrize("side", ["head", "a"])
def test_an_address_outside_of_the_network_is_refused_on_either_side(inventory, side):
    inventory[side]["llama_address"] = "10.21.0.1"
    assert "10.21.0.1, which is outside of llama_rpc_network 10.20.0.0/24" in refusal(wired, inventory)
    del inventory[side]["llama_address"]
    assert f"{side} has no address" in refusal(wired, inventory)


@pytest.mark.parametrize("network", ["", "8.8.8.0/24", "0.0.0.0/0", "10.20.0.1/24", "127.0.0.0/8", "::/0"])
def test_a_network_that_strangers_reach_is_none(network):
    assert "llama_rpc_network" in refusal(definition.read_network, network)


def read(*entries):
    return definition.read_all([{"client": "10.20.0.1", **entry} for entry in entries], "10.20.0.2", NETWORK)


def test_a_worker_without_a_head_is_not_wanted():
    served, idle = read({"name": "w0"}, {"name": "w1", "port": 50053, "client": None})
    assert (served.wanted, idle.wanted) == (True, False)
    assert served.endpoint == "10.20.0.2:50052"


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([{"name": "w0"}, {"name": "w1"}], "port 50052 is given to two workers"),
        ([{"name": "w0"}, {"name": "w0", "port": 50053}], "name w0 is given to two workers"),
        (
            [{"name": name, "port": port, "devices": ["GPU-1"]} for name, port in (("a", 5000), ("b", 5001))],
            "device GPU-1",
        ),
        ([{"name": "w0", "devices": ["GPU-1", "GPU-2"]}], "one worker a GPU"),
        ([{"name": "w0", "devices": "auto"}], "one worker a GPU"),
        ([{"name": "w0", "port": 80}], "1024 to 65535"),
        ([{"name": "w0", "client": "10.21.0.1"}], "outside of"),
        ([{"name": "w0", "cache_quota": "much"}], "must be a size"),
        ([{"name": "w0", "quota": 1}], "has no key"),
    ],
)
def test_what_cannot_be_is_refused(entries, words):
    with pytest.raises(InvalidInput) as caught:
        read(*entries)
    assert words in str(caught.value)
