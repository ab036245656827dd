# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of starts against plans: recorded over two workers, and as CUDA would print it."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import overview, reconcile, residency
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.record import Record
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.service import Status
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.launch import Launch
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.plan import Model, assemble
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.table import Device

TESTS = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(TESTS / "unit" / "core" / "memory")]

import recorded  # noqa: E402

RECORDED = (TESTS / "fixtures" / "recorded" / "load-two-workers.jsonl.txt").read_text().splitlines()
WORKERS = ["127.0.0.1:51801", "127.0.0.1:51802"]
MIB = 1 << 20


def plan(devices: list[dict], host: dict) -> dict:
    return {"devices": devices, "host": {"components": host}}


@pytest.fixture
def two_workers() -> dict:
    """The plan of the recorded start, see tests/unit/core/memory/test_reconcile.py."""
    launch = Launch(ctx_size=8192, n_outputs_max=4, gpu_layers=35, tensor_split=(17, 18))
    known = [Device(name, "rpc", 1 << 40, 1 << 40) for name in WORKERS]
    table = assemble(Model(recorded.header("gemma3-4b-tied")), launch, known)
    rows = [
        {"id": row.device.id, "buffer": row.device.id, "components": {n: c.bytes for n, c in row.components.items()}}
        for row in table.rows
    ]
    return plan(rows, {name: cell.bytes for name, cell in table.host.items()})


def test_a_recorded_start_lies_where_it_was_planned(two_workers):
    found = residency.judge(two_workers, RECORDED)
    assert (found.verdict, found.reasons) == ("verified", ())
    assert found.actual[WORKERS[0]]["weights"] == round(1003.76 * MIB)


def test_a_layer_that_moved_is_seen_and_named(two_workers):
    moved = [line.replace("1003.76 MiB", " 970.10 MiB").replace(" 360.00 MiB", " 393.66 MiB") for line in RECORDED]
    found = residency.judge(two_workers, moved)
    assert found.verdict == "mismatch"
    assert found.reasons[0] == f"{WORKERS[0]} holds 970.10 MiB of weights; planned are 1003.76 MiB."


def test_devices_that_changed_places_are_seen(two_workers):
    swapped = [line.replace("51801]", "x]").replace("51802]", "51801]").replace("x]", "51802]") for line in RECORDED]
    assert residency.judge(two_workers, swapped).verdict == "mismatch"


@pytest.mark.parametrize("part", ["weights", "kv_cache"])
def test_every_kind_of_buffer_counts(two_workers, part):
    other = copy.deepcopy(two_workers)
    other["devices"][1]["components"][part] *= 2
    found = residency.judge(other, RECORDED)
    assert found.verdict == "mismatch" and WORKERS[1] in found.reasons[0]


@pytest.mark.parametrize(
    "log", [[], ["nothing of interest"], [line for line in RECORDED if "model buffer" not in line]]
)
def test_a_log_that_does_not_tell_proves_nothing(two_workers, log):
    found = residency.judge(two_workers, log)
    assert found.verdict == "unknown" and found.reasons


CUDA = """\
load_tensors: offloaded 33/33 layers to GPU
load_tensors:   CPU_Mapped model buffer size =   281.81 MiB
load_tensors:        CUDA0 model buffer size =  4403.49 MiB
llama_kv_cache:      CUDA0 KV buffer size =  1024.00 MiB
sched_reserve:      CUDA0 compute buffer size =   258.50 MiB
sched_reserve:  CUDA_Host compute buffer size =    24.01 MiB
""".splitlines()
ON_CPU = [line.replace("CUDA0", "CPU") for line in CUDA]


def one_card(**more: int) -> dict:
    cells = {"weights": 4403 * MIB + MIB // 2, "kv_cache": 1024 * MIB, "compute": 258 * MIB, **more}
    row = {"id": "GPU-a", "buffer": "CUDA0", "components": cells}
    return plan([row], {"mapped_weights": 281 * MIB + 850_000})


def test_a_build_that_serves_from_the_processor_is_caught_though_it_says_offloaded():
    assert residency.judge(one_card(), CUDA).verdict == "verified"
    found = residency.judge(one_card(), ON_CPU)
    assert found.verdict == "mismatch"
    assert found.reasons[0].startswith("GPU-a holds 0.00 MiB of weights")


def test_only_the_last_load_counts():
    again = ["srv    load_model: loading model '/m.gguf'", *CUDA]
    assert residency.judge(one_card(), [*again, *again]).verdict == "verified"
    assert residency.judge(one_card(), [*CUDA, *CUDA]).verdict == "mismatch"


def test_weights_that_the_processor_lays_out_anew_lie_on_the_host():
    extra = [
        f"load_tensors:  {name} model buffer size =   100.00 MiB" for name in ("AMX", "CPU_REPACK", "CPU_KLEIDIAI")
    ]
    found = residency.judge(one_card(), [*CUDA, *extra])
    assert found.verdict == "verified" and set(found.actual) == {"GPU-a", "host"}


def test_only_weights_are_held_against_an_architecture_that_nobody_measured():
    other = one_card(kv_cache=5 * MIB)
    assert residency.judge(other, CUDA).verdict == "mismatch"
    assert residency.judge({**other, "confidence": "low"}, CUDA).verdict == "verified"
    assert residency.judge({**other, "confidence": "low"}, ON_CPU).verdict == "mismatch"


def test_a_device_that_is_not_in_the_plan_is_named():
    other = [*CUDA, "load_tensors:        CUDA1 model buffer size =   100.00 MiB"]
    assert residency.judge(one_card(), other).reasons == ("CUDA1 holds 100.0 MiB, and is not in the plan.",)


def test_a_draft_may_add_as_much_as_was_planned_for_it():
    draft = [*CUDA, "load_tensors:        CUDA0 model buffer size =   300.00 MiB"]
    assert residency.judge(one_card(), draft).verdict == "mismatch"
    assert residency.judge(one_card(draft=400 * MIB), draft).verdict == "verified"


def test_the_driver_is_asked_and_what_it_takes_for_itself_is_learned():
    held = sum(round(size * MIB) for size in (4403.49, 1024, 258.5))
    found = residency.judge(one_card(), CUDA, {"GPU-a": {7: held + 456 * MIB, 8: 99}}, 7)
    assert found.verdict == "verified"
    assert residency.overheads(found) == {"GPU-a": 456 * MIB}
    hidden = residency.judge(one_card(), CUDA, {"GPU-a": {8: 99}}, 7)  # a container sees other numbers
    assert hidden.verdict == "verified" and residency.overheads(hidden) == {}
    two = one_card()
    two["devices"].append({"id": "GPU-b", "buffer": "CUDA1", "components": {"weights": 100 * MIB}})
    log = [*CUDA, "load_tensors:        CUDA1 model buffer size =   100.00 MiB"]
    absent = residency.judge(two, log, {"GPU-a": {7: held}, "GPU-b": {8: 1}}, 7)
    assert absent.reasons == ("The driver knows no process 7 on GPU-b, which should hold 100.00 MiB.",)


def test_what_a_driver_tells_is_read_from_the_facts():
    entries = [{"pid": 7, "kind": "compute", "used": 5}, {"pid": 9, "kind": "graphics", "used": None}]
    part = {"id": "MIG-b", "processes": [{"pid": 8, "used": 6}]}
    facts = {"devices": [{"id": "GPU-a", "processes": entries, "mig_devices": [part]}, {"id": "GPU-c"}]}
    assert reconcile.processes(facts) == {"GPU-a": {7: 5, 9: None}, "MIG-b": {8: 6}}


ROW = {"id": "GPU-a", "backend": "cuda", "flag": "CUDA0", "buffer": "CUDA0"}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (None, ""),
        (Record("", {}, (), {"components": {"mapped_weights": 9}}), "100% CPU"),
        (Record("", {}, ({**ROW, "components": {"weights": 75}},), {"components": {"mapped_weights": 25}}),
         "25%/75% CPU/GPU"),
        (Record("", {}, ({**ROW, "components": {"weights": 75}},), {"components": {"mapped_weights": 25}}, whole=True),
         "100% GPU"),
    ],
)  # fmt: skip
def test_the_share_is_said_in_a_word(record, said):
    assert overview.share(record) == said


@pytest.mark.parametrize(
    ("status", "health", "word"),
    [
        (Status(True, 1), "ready", "ready"),
        (Status(True, 1), "loading", "loading"),
        (Status(True, 1), "unreachable", "silent"),
        (Status(False), "unreachable", "stopped"),
        (Status(False, waiting=True), "unreachable", "waiting"),
        (Status(False, failed=True), "unreachable", "failed"),
    ],
)
def test_the_state_is_one_word(status, health, word):
    assert overview.state(status, health) == word


def test_a_lost_device_is_a_state_of_what_is_wanted_to_run():
    there = [Status(True, 1), Status(False, waiting=True), Status(False, failed=True)]
    assert {overview.state(status, "unreachable", "GPU-1 is lost.") for status in there} == {"device_lost"}
    assert overview.state(Status(False), "unreachable", "GPU-1 is lost.") == "stopped"


def test_the_endpoint_is_where_clients_come():
    url = "http://127.0.0.1:8080"
    assert overview.endpoint(url, ["llama-server", "--host", "10.0.0.5"]) == url
    everywhere = overview.endpoint(url, ["llama-server", "--host", "0.0.0.0", "--port", "8080"])
    assert everywhere.startswith("http://") and everywhere.endswith(":8080") and "127.0.0.1" not in everywhere


def test_a_log_in_records_is_read_alike():
    lines = [json.dumps({"type": "log", "level": "info", "msg": line + "\n"}) for line in CUDA]
    assert residency.judge(one_card(), lines).verdict == "verified"
