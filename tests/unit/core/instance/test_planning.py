# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of instances on a made-up host: its GPUs and memory are given, its units are real files of supervisord."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build.builds import Build
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.command import Result
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import (
    InvalidInput,
    NotProven,
    Prerequisite,
    Untrusted,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import (
    candidates,
    cmdline,
    definition,
    learned,
    planned,
    planning,
    served,
    unit,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.record import Record
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.room import Room
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.supervisor import Supervisor
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.unit import Launch
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree
from test_cmdline import build_in

TESTS = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(TESTS / "bench" / "planner"), str(TESTS / "unit" / "core" / "memory")]

import recorded  # noqa: E402
import sparse  # noqa: E402

GIB = 1 << 30


class Host:
    """A host with GPUs, memory and units."""

    def __init__(self, folder: Path, plant) -> None:
        self.tree = Tree(str(folder / "root"), "user")
        self.manager = Supervisor(self.tree)
        self.folder, self.plant = folder, plant
        self.gpus: list[dict] = []
        self.driver = "580.1"
        self.kept: str | None = None  # a unit that was proven before a change that was cut off
        self.builds = {}
        self.memory(256)
        (folder / "root" / "cache").mkdir(parents=True)

    def memory(self, total: int, available: int | None = None) -> None:
        """GiB of the host."""
        free = (total if available is None else available) << 20
        self.root = self.plant({"proc/meminfo": f"MemTotal: {total << 20} kB\nMemAvailable: {free} kB\n"})

    def gpu(self, uuid: str, total: float, free: float | None = None, **more) -> None:
        size = int(total * GIB)
        left = size if free is None else int(free * GIB)
        facts = {"id": uuid, "backend": "cuda", "name": "RTX", "pci": "0000:01:00.0", "total": size, "free": left}
        self.gpus = [*[item for item in self.gpus if item["id"] != uuid], {**facts, **more}]

    def build(self, backend: str) -> Build:
        if backend not in self.builds:
            made = build_in(self.folder / f"build-{backend}")
            self.builds[backend] = replace(made, manifest={**made.manifest, "recipe": {"backend": backend}})
        return self.builds[backend]

    def model(self, name: str) -> str:
        path = self.folder / f"{name}.gguf"
        if not path.exists():
            found = recorded.models()[name]
            sparse.write(str(path), found["metadata"], recorded.unpack(found["tensors"]))
        return str(path)

    def plan(self, *entries: dict, backend: str = "cuda") -> dict[str, Record]:
        """The plans of the instances of one call."""
        return self.plans(*entries, backend=backend)[1]

    def beside(self, *entries: dict, backend: str = "cuda") -> tuple[bool, str]:
        """Is there room for two servers of the first of these instances?"""
        name = entries[0]["name"]
        before = Record.of(unit.facts_of(Path(self.manager.path(name)).read_text()))
        return self.plans(*entries, backend=backend)[0].beside(name, before)

    def plans(self, *entries: dict, backend: str = "cuda") -> tuple[planning.Plans, dict[str, Record]]:
        items = [definition.read({"port": 8080, **entry}) for entry in entries]
        facts = {"devices": self.gpus, "driver": self.driver}
        plans = planning.Plans(self.tree, self.manager, [item.name for item in items], lambda: facts, self.root)
        there = [item for item in items if item.state != "absent"]
        for item in there:
            path = Path(self.manager.path(item.name))
            before = path.read_text() if path.exists() else None
            files = served.find(self.tree, item, headers=False)
            stands = [(before, "autostart=true" in (before or "")), (self.kept, True)]
            said = [({item.name: unit.facts_of(text or "")}, alive) for text, alive in stands]
            plans.ask(item, self.build(backend), [files], said)
        return plans, {item.name: plans.records(item)[item.name] for item in there}

    def install(self, *entries: dict, backend: str = "cuda") -> dict[str, Record]:
        """Plan and write the units."""
        found = self.plan(*entries, backend=backend)
        for entry in entries:
            item = definition.read({"port": 8080, **entry})
            if item.state == "absent":
                Path(self.manager.path(item.name)).unlink()
                continue
            command = cmdline.Command({}, ("llama-server",))
            facts = {"Instance": item.name, **found[item.name].facts()}
            text = self.manager.render(Launch(item, command, facts, (), "", 60))
            Path(self.manager.path(item.name)).parent.mkdir(parents=True, exist_ok=True)
            Path(self.manager.path(item.name)).write_text(text)
        return found

    def command(self, record: Record, entry: dict, backend: str = "cuda") -> str:
        item = definition.read({"port": 8080, **entry})
        files = served.find(self.tree, item, headers=False)
        final = planned.resolved(item, self.build(backend), record)
        return cmdline.compose(final, self.build(backend), files, None, planned.place(record)).line


@pytest.fixture
def host(tmp_path, plant):
    return Host(tmp_path, plant)


def _damage(path: Path) -> None:
    """Spoil the header of a file, so that size and time stay."""
    seen = path.stat()
    with path.open("r+b") as file:
        file.write(b"none")
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def ids(record: Record) -> list[str]:
    return [row["id"] for row in record.devices]


def test_one_card_is_enough_and_the_command_names_it(host):
    host.gpu("GPU-a", 16)
    host.gpu("GPU-b", 24)
    entry = {"name": "chat", "model": host.model("llama3.1-8b"), "ctx_size": 16384}
    record = host.plan(entry)["chat"]
    assert ids(record) == ["GPU-b"]
    line = host.command(record, entry)
    assert line.startswith("GGML_NO_BACKTRACE=1 XDG_CONFIG_HOME=/nonexistent CUDA_VISIBLE_DEVICES=GPU-b ")
    for flag in ("--device CUDA0", "--gpu-layers 33", "--ctx-size 16384", "--flash-attn on", "--fit off"):
        assert f" {flag} " in f"{line} "
    assert "auto" not in line


def test_two_cards_get_whole_numbers_that_sum_to_the_layers(host):
    host.gpu("GPU-a", 48)
    host.gpu("GPU-b", 32)
    entry = {"name": "big", "model": host.model("llama3.3-70b"), "ctx_size": 32768}
    line = host.command(host.plan(entry)["big"], entry)
    split = line.split("--tensor-split ")[1].split()[0]
    assert sum(int(part) for part in split.split(",")) == 81
    assert "--device CUDA0,CUDA1" in line and "CUDA_VISIBLE_DEVICES=GPU-a,GPU-b" in line


def test_what_others_are_planned_for_counts_even_while_they_hold_nothing(host):
    host.gpu("GPU-a", 24)
    host.gpu("GPU-b", 24)
    first = {"name": "one", "model": host.model("llama3.1-8b"), "ctx_size": 126976}
    second = {**first, "name": "two"}
    assert ids(host.install(first)["one"]) == ["GPU-a"]
    assert ids(host.install(second)["two"]) == ["GPU-b"]
    with pytest.raises(planning.DoesNotFit) as refused:
        host.plan({**first, "name": "three"})
    said = str(refused.value)
    assert "'three' does not fit" in said and "are planned for one" in said and "plan: {force: true}" in said
    short = refused.value.details["short"]
    assert all(row["needed"] > row["left"] for row in short.values())


def test_what_stops_in_the_same_call_is_given_back(host):
    host.gpu("GPU-a", 24)
    first = {"name": "one", "model": host.model("llama3.1-8b"), "ctx_size": 65536}
    host.install(first)
    second = {**first, "name": "two"}
    with pytest.raises(planning.DoesNotFit):
        host.plan(second)
    assert ids(host.plan({**first, "state": "absent"}, second)["two"]) == ["GPU-a"]
    assert ids(host.plan({**first, "state": "stopped"}, second)["two"]) == ["GPU-a"]


def test_two_new_ones_of_one_call_do_not_take_the_same_room(host):
    host.gpu("GPU-a", 24)
    host.gpu("GPU-b", 24)
    entry = {"model": host.model("llama3.1-8b"), "ctx_size": 65536}
    found = host.plan({**entry, "name": "one"}, {**entry, "name": "two"})
    assert ids(found["one"]) != ids(found["two"])


def test_a_plan_stands_while_memory_moves_and_things_are_learned(host):
    host.gpu("GPU-a", 24)
    entry = {"name": "chat", "model": host.model("llama3.1-8b"), "ctx_size": "auto"}
    before = host.install(entry)["chat"]
    host.gpu("GPU-a", 24, free=3)
    host.memory(256, 1)
    learned.remember(host.tree, host.gpus, host.driver, host.build("cuda").id, {"GPU-a": 2 * GIB})
    assert host.plan(entry)["chat"] == before
    assert host.plan({**entry, "options": {"metrics": True}})["chat"] == before
    _damage(Path(entry["model"]))  # whose header is not even read
    assert host.plan(entry)["chat"] == before
    with pytest.raises(Untrusted):
        host.plan({**entry, "parallel": 2})


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"drain_timeout": 5}, True),
        ({"parallel": 2}, False),
        ({"cache_type_k": "q8_0", "cache_type_v": "q8_0"}, False),
        ({"options": {"ubatch_size": 256}}, False),
        ({"options": {"ub": 256}}, False),
        ({"plan": {"allow": ["n_cpu_moe"]}}, False),
    ],
)
def test_a_plan_is_made_again_when_what_was_asked_changes(host, change, same):
    host.gpu("GPU-a", 24)
    entry = {"name": "chat", "model": host.model("llama3.1-8b")}
    before = host.install(entry)["chat"]
    assert (host.plan({**entry, **change})["chat"].inputs == before.inputs) is same


def test_another_card_is_another_plan_and_a_driver_that_keeps_a_little_more_is_not(host):
    host.gpu("GPU-a", 24.1)
    entry = {"name": "chat", "model": host.model("llama3.1-8b")}
    before = host.install(entry)["chat"]
    host.gpu("GPU-a", 24.1 - 1 / 1024)
    assert host.plan(entry)["chat"].inputs == before.inputs
    host.gpu("GPU-a", 20)
    assert host.plan(entry)["chat"].inputs != before.inputs


def test_what_was_learned_counts_for_a_new_plan(host):
    host.gpu("GPU-a", 24)
    entry = {"name": "chat", "model": host.model("llama3.1-8b")}
    cautious = host.plan(entry)["chat"].devices[0]["components"]["driver_context"]
    assert learned.remember(host.tree, host.gpus, host.driver, host.build("cuda").id, {"GPU-a": 456 << 20})
    assert not learned.remember(host.tree, host.gpus, host.driver, host.build("cuda").id, {"GPU-a": 400 << 20})
    grows = cautious - (600 << 20)  # with the first long prompt
    assert grows > 0
    assert host.plan(entry)["chat"].devices[0]["components"]["driver_context"] == (456 << 20) + grows
    host.driver = "590.1"
    assert host.plan(entry)["chat"].devices[0]["components"]["driver_context"] == cautious
    Path(learned.path(host.tree)).write_text('{"schema": 1, "bytes": {"x": "y"}, ')
    assert host.plan(entry)["chat"].devices[0]["components"]["driver_context"] == cautious


def test_the_cheapest_change_is_named_and_fits(host):
    host.gpu("GPU-a", 16)
    entry = {"name": "moe", "model": host.model("qwen3-30b-a3b"), "ctx_size": 32768}
    with pytest.raises(planning.DoesNotFit) as refused:
        host.plan(entry)
    assert "Cheapest change that fits: n_cpu_moe: fits with n_cpu_moe " in refused.value.remedy
    assert "plan: {allow: [n_cpu_moe]}" in refused.value.remedy
    record = host.plan({**entry, "plan": {"allow": ["n_cpu_moe"]}})["moe"]
    assert f"--n-cpu-moe {record.options['n_cpu_moe']} " in host.command(record, entry)
    assert record == replace(host.plan({**entry, "n_cpu_moe": "auto"})["moe"], inputs=record.inputs)
    # experts on the host are counted in the limit of its memory
    assert record.ceiling > record.host["components"]["mapped_weights"] > GIB
    host.memory(256, 2)
    with pytest.raises(planning.DoesNotFit, match="of the host"):
        host.plan({**entry, "plan": {"allow": ["n_cpu_moe"]}})


def test_force_launches_what_does_not_fit_and_stays(host):
    host.gpu("GPU-a", 6)
    entry = {"name": "chat", "model": host.model("llama3.1-8b"), "plan": {"force": True}}
    record = host.install(entry)["chat"]
    assert record.forced
    assert host.plan(entry)["chat"] == record
    with pytest.raises(planning.DoesNotFit):
        host.plan({**entry, "plan": {}})


def test_what_stood_still_is_planned_anew_before_it_starts(host):
    host.gpu("GPU-a", 24)
    entry = {"name": "one", "model": host.model("llama3.1-8b"), "ctx_size": 65536}
    host.install({**entry, "state": "stopped"})
    host.install({**entry, "name": "two"})
    with pytest.raises(planning.DoesNotFit):
        host.plan(entry)


def test_a_plan_that_was_proven_before_a_killed_change_stands_without_any_room(host):
    host.gpu("GPU-a", 24)
    entry = {"name": "one", "model": host.model("llama3.1-8b"), "ctx_size": 65536}
    proven = host.install(entry)["one"]
    host.kept = Path(host.manager.path("one")).read_text()
    host.install({**entry, "ctx_size": 4096})  # the unit of the change, whose server never came up
    host.gpu("GPU-a", 24, 1)
    assert host.plan(entry)["one"] == proven
    host.kept = None
    with pytest.raises(planning.DoesNotFit):
        host.plan(entry)


def test_a_front_with_many_requests_waiting_takes_no_room_from_its_own_server(host):
    entry = {"name": "chat", "model": host.model("llama3.1-8b"), "ctx_size": 8192, "devices": "none"}
    host.memory(10, 2)
    with pytest.raises(planning.DoesNotFit, match="belong to others"):
        host.plan(entry, backend="cpu")
    for pid, service in ((7, "other.service"), (8, "llama-front.service")):
        host.plant(
            {f"proc/{pid}/status": f"RssAnon: {7 << 20} kB\n", f"proc/{pid}/cgroup": f"0::/system.slice/{service}\n"}
        )
        if pid == 7:
            with pytest.raises(planning.DoesNotFit):
                host.plan(entry, backend="cpu")
    assert host.plan(entry, backend="cpu")


def test_without_a_device_the_memory_of_the_host_is_what_there_is(host):
    host.memory(16)
    entry = {"name": "chat", "model": host.model("llama3.1-8b"), "ctx_size": 16384, "devices": "none"}
    record = host.install(entry)["chat"]
    line = host.command(record, entry)
    assert "--device none --gpu-layers 0 " in line and "CUDA_VISIBLE_DEVICES" not in line
    assert "--split-mode" not in line
    assert record.needed > 6 * GIB
    with pytest.raises(planning.DoesNotFit) as refused:
        host.plan({**entry, "name": "two", "port": 8081, "model": host.model("qwen2.5-32b")})
    assert "are planned for chat" in refused.value.problem
    with pytest.raises(
        planning.DoesNotFit, match="Cheapest change that fits: cache_type: fits on the host with cache_type_k q8_0"
    ):
        host.plan({**entry, "ctx_size": 131072})
    host.plan({**entry, "ctx_size": 131072, "plan": {"allow": ["ctx_size"], "ctx_floor": 8192}})
    assert host.plan(entry, backend="cpu")["chat"].devices == ()


def test_two_servers_of_an_instance_need_room_for_the_larger_one_twice(host):
    entry = {"name": "chat", "model": host.model("llama3.1-8b"), "ctx_size": 8192}
    host.gpu("GPU-a", 24)
    taken = host.install(entry)["chat"].on("GPU-a")
    assert 5 * GIB < taken < 8 * GIB
    assert host.beside(entry)[0]
    assert host.beside({**entry, "ctx_size": 16384})[0]
    fits, why = host.beside({**entry, "ctx_size": 65536})  # 8 GiB of cache, twice
    assert not fits and "more of GPU-a" in why
    host.gpu("GPU-a", 24, 24 - 2 * taken / GIB)  # somebody else has as much as our server
    assert not host.beside(entry)[0]
    host.gpu("GPU-a", 24)
    assert not host.beside(entry, {**entry, "name": "other", "port": 8081, "ctx_size": 65536})[0]


def test_on_the_host_too_and_what_a_plan_does_not_size_is_never_doubled(host):
    entry = {"name": "chat", "model": host.model("llama3.1-8b"), "ctx_size": 8192, "devices": "none"}
    host.memory(64)
    host.install(entry)
    assert host.beside(entry, backend="cpu")[0]
    host.memory(10)
    fits, why = host.beside(entry, backend="cpu")
    assert not fits and "more of the host" in why
    host.memory(256)
    host.gpu("GPU-a", 80)
    host.gpu("GPU-b", 80)
    split = {"name": "rows", "model": host.model("llama3.1-8b"), "port": 8082, "split_mode": "row"}
    host.install(split)
    assert host.beside(split) == (False, "what its servers take is not planned")


def test_devices_are_named_by_what_stays_the_same(host):
    host.gpu("GPU-a", 24, pci="0000:01:00.0")
    host.gpu("GPU-b", 24, pci="0000:81:00.0", name="A100")
    entry = {"name": "chat", "model": host.model("llama3.2-1b-tied")}
    assert ids(host.plan({**entry, "devices": ["pci:0000:81:00.0"]})["chat"]) == ["GPU-b"]
    assert ids(host.plan({**entry, "devices": ["GPU-b", "GPU-a"]})["chat"]) == ["GPU-b", "GPU-a"]
    assert ids(host.plan({**entry, "devices": {"count": 1, "name": "a100"}})["chat"]) == ["GPU-b"]
    assert ids(host.plan({**entry, "devices": {"count": 2}})["chat"]) == ["GPU-a", "GPU-b"]
    one = {**entry, "split_mode": "none", "main_gpu": 1}
    assert ids(host.plan(one)["chat"]) == ["GPU-b"]
    line = host.command(host.plan(one)["chat"], one)
    assert "--device CUDA0 " in line and "--main-gpu" not in line and "--tensor-split" not in line
    assert ids(host.plan({**one, "main_gpu": None, "devices": ["GPU-b", "GPU-a"]})["chat"]) != ["GPU-b", "GPU-a"]
    with pytest.raises(InvalidInput, match="no device GPU-c. There are: GPU-a"):
        host.plan({**entry, "devices": ["GPU-c"]})
    with pytest.raises(InvalidInput, match="asks for 2 devices named A100; this host has 1"):
        host.plan({**entry, "devices": {"count": 2, "name": "A100"}})
    with pytest.raises(InvalidInput, match="drives no device of this host"):
        host.plan({**entry, "devices": ["GPU-a"]}, backend="cpu")


LISTED = """\
Available devices:
  RPC0: 10.0.0.7:50052 (24105 MiB, 24105 MiB free)
  RPC1: 10.0.0.8:50052 (80000 MiB, 79000 MiB free)
"""


def test_workers_tell_their_memory_once(host):
    asked = []

    def execute(argv):
        asked.append(list(argv))
        return Result(tuple(argv), 0, LISTED, "", 0.1)

    gpu = {"id": "GPU-a", "backend": "cuda", "total": 1}
    remote = [{"id": f"10.0.0.{number}:50052", "backend": "rpc", "total": 0} for number in (7, 8)]
    found = candidates.with_workers([*remote, gpu], "/b/llama-server", execute)
    assert [item["total"] for item in found] == [24105 << 20, 80000 << 20, 1]
    assert asked == [["/b/llama-server", "--rpc", "10.0.0.7:50052,10.0.0.8:50052", "--list-devices"]]
    assert candidates.with_workers(found, "/b/llama-server", execute) == found and len(asked) == 1
    with pytest.raises(NotProven, match="only 2 tell"):
        candidates.with_workers([*remote, {**remote[0], "id": "10.0.0.9:50052"}], "/b/llama-server", execute)


def test_why_a_worker_does_not_tell_is_said():
    worker = {"id": "10.0.0.7:50052", "backend": "rpc", "total": 0}
    mismatch = Result(("llama-server",), -6, "", "RPC server version mismatch: 6.0.0\n", 0.1)
    with pytest.raises(Prerequisite, match=r"another version: 6\.0\.0\.") as caught:
        candidates.with_workers([worker], "/b/llama-server", lambda argv: mismatch)
    assert isinstance(caught.value, NotProven)


def test_workers_for_what_one_host_has_room_for_are_warned_of(host):
    host.gpu("GPU-a", 24)
    rpc = [{"host": "b", "worker": "w0", "address": "10.0.0.7:50052"}]
    said = {}
    for name in ("llama3.1-8b", "llama3.3-70b"):
        entry = {"name": "big", "port": 8080, "model": host.model(name), "rpc": rpc, "tensor_split": [1, 1]}
        item = definition.read(entry)
        left = Room(host.manager, ["big"], lambda: {"devices": host.gpus}, host.root)
        question = planned.ask(item, host.build("cuda"), served.find(host.tree, item, headers=False), left)
        said[name] = planning.alone(question, left, {})
    assert said["llama3.3-70b"] == []
    assert "fits the devices GPU-a of its own host" in said["llama3.1-8b"][0]


def test_what_no_variable_can_choose_keeps_its_own_number():
    cards = [{"id": f"pci:0000:0{number}:00.0", "backend": "hip", "position": number} for number in (1, 2)]
    assert [row["flag"] for row in candidates.ordered(cards[1:])] == ["ROCm2"]
    assert [row["flag"] for row in candidates.ordered([{**cards[1], "id": "GPU-1f"}])] == ["ROCm0"]
    assert [row["flag"] for row in candidates.ordered([{**cards[0], "backend": "vulkan"}])] == ["Vulkan1"]
    worker = {"id": "10.0.0.7:50052", "backend": "rpc"}
    assert candidates.ordered([worker])[0] == {"flag": "RPC0", "buffer": "10.0.0.7:50052"}


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"Plan": "{"},
        {"Plan": "[]"},
        {"Plan": '{"schema": 2}'},
        {"Plan": '{"schema": 1, "options": {}, "devices": [{"id": 1}]}'},
        {"Plan": '{"schema": 1, "options": {}, "devices": [], "surprise": 1}'},
    ],
)
def test_a_plan_that_cannot_be_understood_is_none(facts):
    assert Record.of(facts) is None


def test_a_plan_comes_back_from_its_unit_as_it_was():
    row = {
        "id": "a",
        "backend": "cuda",
        "flag": "CUDA0",
        "buffer": "CUDA0",
        "components": {"weights": 5, "headroom": 9},
    }
    record = Record("0123", {"ctx_size": 1}, (row,), {"needed": 7, "ceiling": None}, "fewest_devices")
    assert Record.of(record.facts()) == record
    assert (record.on("a"), record.on("b"), record.total) == (5, 0, 12)
    assert "\n" not in record.facts()["Plan"] and json.loads(record.facts()["Plan"])["schema"] == 1


def test_a_router_needs_room_for_what_it_may_have_loaded_at_a_time(host):
    host.gpu("GPU-a", 24)
    big = {"model": host.model("qwen2.5-32b"), "gpu_layers": "all", "ctx_size": 2048}
    small = {"model": host.model("llama3.1-8b"), "ctx_size": 2048}

    def plans(most, models):
        item = definition.read(
            {"name": "all", "kind": "router", "port": 8080, "models": models, "options": {"models_max": most}}
        )
        build, files = host.build("cuda"), [served.find(host.tree, one, headers=False) for one in item.models]
        made = planning.Plans(host.tree, host.manager, ["all"], lambda: {"devices": host.gpus}, host.root)
        made.ask(item, build, files, [])
        return made.records(item)

    assert sorted(plans(1, {"a": big, "b": small, "c": big})) == ["a", "b", "c"]
    with pytest.raises(planning.DoesNotFit, match="'all/b' does not fit.*are planned for all"):
        plans(2, {"a": big, "b": small})
    assert sorted(plans(2, {"a": small, "b": small, "c": small})) == ["a", "b", "c"]
