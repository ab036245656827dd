# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing flags: which rung a launch stops at, that every device has room, and that the answer is always the same."""

from __future__ import annotations

import pytest
import recorded
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import choose, split
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.launch import Launch
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.plan import Extras, Model, assemble
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.table import Device
from hypothesis import given, settings
from hypothesis import strategies as st

GIB = 1 << 30
SERVER = Launch(ctx_size=32768, n_outputs_max=4)


def gpus(*sizes: float, backend: str = "cuda") -> list[Device]:
    return [Device(f"GPU-{index}", backend, int(size * GIB), int(size * GIB)) for index, size in enumerate(sizes)]


def chosen(
    name: str, devices: list[Device], launch: Launch = SERVER, floor: int = 4096, **allow: bool
) -> choose.Choice:
    return choose.choose(
        Model(recorded.header(name)), launch, devices, choose.Wish(frozenset(allow), ctx_floor=floor), Extras()
    )


def test_one_device_is_enough_and_the_roomiest_is_taken() -> None:
    found = chosen("llama3.1-8b", gpus(12, 24, 24))
    assert (found.rung, [device.id for device in found.devices]) == (choose.FEWEST, ["GPU-1"])
    assert found.fits and found.launch.gpu_layers == 33


def test_two_devices_share_in_whole_layers_that_sum_to_all() -> None:
    found = chosen("llama3.3-70b", gpus(48, 32))
    assert found.rung == choose.MORE and found.fits
    assert sum(found.launch.tensor_split) == 81 and found.launch.tensor_split[0] > found.launch.tensor_split[1]


def test_the_fewest_experts_go_to_the_host() -> None:
    found = chosen("qwen3-30b-a3b", gpus(16), n_cpu_moe=True)
    assert found.rung == choose.CPU_MOE and found.fits
    fewer = Launch(**{**found.launch.__dict__, "n_cpu_moe": found.launch.n_cpu_moe - 1})
    assert not assemble(Model(recorded.header("qwen3-30b-a3b")), fewer, found.devices).fits


@pytest.mark.parametrize(
    ("name", "room", "allow", "rung"),
    [
        ("llama3.1-8b", 9, {"cache_type": True}, choose.CACHE_TYPE),
        ("llama3.1-8b", 7.5, {"cache_type": True, "ctx_size": True}, choose.CTX),
        ("llama3.1-8b", 5, {"cache_type": True, "ctx_size": True, "gpu_layers": True}, choose.PARTIAL),
        ("llama3.1-8b", 6, {}, choose.REFUSED),
    ],
)
def test_rungs_are_taken_in_order_and_only_when_allowed(
    name: str, room: float, allow: dict[str, bool], rung: str
) -> None:
    found = chosen(name, gpus(room), **allow)
    assert (found.rung, found.fits) == (rung, rung != choose.REFUSED), found.reasons


def test_the_context_is_as_large_as_fits_and_no_smaller_than_its_floor() -> None:
    found = chosen("llama3.1-8b", gpus(8), ctx_size=True)
    assert found.rung == choose.CTX and 4096 <= found.launch.ctx_size < 32768 and found.launch.ctx_size % 256 == 0
    larger = Launch(**{**found.launch.__dict__, "ctx_size": found.launch.ctx_size + 256})
    assert not assemble(Model(recorded.header("llama3.1-8b")), larger, found.devices).fits
    assert not chosen("llama3.1-8b", gpus(8), floor=30000, ctx_size=True).fits


def test_workers_come_last_and_before_the_devices_of_the_host() -> None:
    worker = Device("amd01:50052", "rpc", 40 * GIB, 40 * GIB)
    found = chosen("llama3.3-70b", [*gpus(24), worker], rpc=True)
    assert (found.rung, [device.id for device in found.devices]) == (choose.RPC, ["amd01:50052", "GPU-0"])


def test_without_devices_everything_lies_on_the_host() -> None:
    found = chosen("llama3.1-8b", [])
    assert found.fits and found.launch.gpu_layers == 0 and found.table.host["mapped_weights"].bytes > 4 * GIB


def test_a_refusal_names_what_is_missing_and_every_rung_that_was_not_allowed() -> None:
    found = chosen("llama3.3-70b", gpus(24))
    assert "short" in found.reasons[0] and "cache_type: not allowed." in found.reasons
    assert found.table.short > 0


def test_what_one_more_gib_buys_is_said() -> None:
    model, devices, wish = Model(recorded.header("qwen3-30b-a3b")), gpus(16), choose.Wish(frozenset({"n_cpu_moe"}))
    now = choose.choose(model, SERVER, devices, wish)
    assert "n_cpu_moe" in choose.next_gib(model, SERVER, devices, wish, None, now)


def test_impossible_launches_are_refused_before_anything_is_tried() -> None:
    with pytest.raises(InvalidInput, match="flash attention"):
        chosen("llama3.1-8b", gpus(24), Launch(ctx_size=4096, cache_type_v="q8_0", flash_attn=False))
    with pytest.raises(InvalidInput, match="one row"):
        chosen("deepseek-v3", gpus(24), Launch(ctx_size=4096, cache_type_k="q8_0"))
    with pytest.raises(InvalidInput, match="width of one head"):
        chosen("phi-2", gpus(24), Launch(ctx_size=2048, cache_type_k="q8_0"))


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(["llama3.1-8b", "qwen3-30b-a3b", "gemma3-27b-tied", "qwen3.5-9b", "deepseek-v2-lite"]),
    st.lists(st.floats(1, 80), min_size=1, max_size=4),
    st.sets(st.sampled_from(choose.RUNGS[2:-1])),
)
def test_what_is_said_to_fit_fits_on_every_device_and_is_said_again(
    name: str, sizes: list[float], allow: set[str]
) -> None:
    devices = gpus(*sizes)
    found = chosen(name, devices, **dict.fromkeys(allow, True))
    assert found == chosen(name, devices, **dict.fromkeys(allow, True))
    if found.fits:
        assert all(row.left >= 0 for row in found.table.rows)
        assert found.table == assemble(Model(recorded.header(name)), found.launch, found.devices)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=40), st.lists(st.integers(0, 9000), min_size=1, max_size=5))
def test_a_balanced_division_takes_every_slot_and_respects_every_room(costs: list[int], rooms: list[int]) -> None:
    found = split.balanced(costs, rooms)
    if found is None:
        return
    assert sum(found) == len(costs) and min(found) > 0
    at = 0
    for room, count in zip(rooms, found):
        assert sum(costs[at : at + count]) <= room
        at += count
