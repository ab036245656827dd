# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory model against what llama.cpp said of the same launches on a real GPU (rows-cuda.json; tests/gpu)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import recorded
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import answer, hparams, kernels, plan
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.plan import Model
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.table import BOUND, Cell, Device
from test_recorded import launch_of

MIB = 1 << 20
GPU = Device("GPU-a", "cuda", 1 << 42, 1 << 42)
WORKERS = [Device(f"worker:{port}", "rpc", 1 << 42, 1 << 42) for port in range(1, 4)]
ROWS: list[dict[str, Any]] = json.loads((recorded.FOLDER / "rows-cuda.json").read_text())
NAMES = list(dict.fromkeys(row["model"] for row in ROWS))


def tables(name: str):
    """Each launch with a GPU, what it took there and on the host, and the plan's cells of both."""
    model = Model(recorded.header(name))
    for row in ROWS:
        if row["model"] == name and row["launch"]["devices"]:
            launch, count = launch_of(row)
            table = plan.assemble(model, launch, [GPU, *WORKERS][:count])
            yield (
                row["launch"],
                row["main"].get("0", [0, 0, 0]),
                row["main"]["host"],
                table.rows[0].components,
                table.host,
            )


def size(cells: Mapping[str, Cell], *names: str) -> int:
    return sum(cells[name].bytes for name in names if name in cells)


@pytest.mark.parametrize("name", NAMES)
def test_weights_and_caches_are_exact(name: str) -> None:
    for launch, gpu, host, cells, on_host in tables(name):
        assert (size(cells, "weights"), size(on_host, "mapped_weights")) == (gpu[0], host[0]), launch
        if name != "deepseek-v4-flash" or launch.get("cache_type_k", "f16") == "f16":
            assert size(cells, "kv_cache", "recurrent_state") == gpu[1], launch


@pytest.mark.parametrize("name", NAMES)
def test_compute_is_never_said_too_small(name: str) -> None:
    if not kernels.attends(hparams.read(recorded.header(name))):
        return  # the processor was made to compute its flash attention: no plan asks for that by itself
    for launch, gpu, host, cells, on_host in tables(name):
        assert size(cells, "compute", "staging") >= gpu[2] - 32 * MIB, launch
        assert size(on_host, "compute") >= host[2] - 32 * MIB, launch


def test_most_launches_without_a_share_of_the_host_are_close() -> None:
    errors = []
    for name in NAMES:
        for _launch, gpu, _host, cells, _on_host in tables(name):
            if "staging" not in cells and sum(gpu):
                said = size(cells, "weights", "kv_cache", "recurrent_state", "compute")
                errors.append(abs(said / sum(gpu) - 1))
    errors.sort()
    assert len(errors) > 500
    assert errors[len(errors) // 2] < 0.001 and errors[int(len(errors) * 0.9)] < 0.005


def test_a_quantised_cache_and_fetched_weights_are_bounds() -> None:
    found = [(launch, cells) for launch, _gpu, _host, cells, _on_host in tables("qwen3-30b-a3b")]
    assert all(cells["compute"].kind == BOUND for launch, cells in found if "cache_type_k" in launch)
    shared = [cells for launch, cells in found if launch.get("n_cpu_moe")]
    assert shared and all(cells["compute"].kind == BOUND for cells in shared)
    staged = [cells["staging"] for cells in shared if "staging" in cells]
    assert staged and all(cell.kind == BOUND for cell in staged)


def test_experts_on_the_host_are_close() -> None:
    """What is fetched is held when little else is: half of the plans are over by less than 0.4 percent."""
    over = []
    for name in NAMES:
        for launch, gpu, _host, cells, _on_host in tables(name):
            if launch.get("n_cpu_moe"):
                said = size(cells, "weights", "kv_cache", "recurrent_state", "compute", "staging")
                over.append(said / sum(gpu) - 1)
    over.sort()
    assert len(over) > 100 and over[0] > -0.001
    assert over[len(over) // 2] < 0.004, over[len(over) // 2]


def test_flash_attention_is_left_out_where_a_gpu_has_none() -> None:
    model = Model(recorded.header("stablelm-12b"))  # heads of 160
    assert not answer.launch(model, {}, backends=["cuda"]).flash_attn
    assert not answer.launch(model, {"flash_attn": "auto"}, backends=["hip"]).flash_attn
    assert answer.launch(model, {}, backends=["rpc"]).flash_attn
    asked = answer.launch(model, {"flash_attn": "on"}, backends=["cuda"])
    assert asked.flash_attn
    assert any("no flash attention" in note for note in plan.assemble(model, asked, [GPU]).notes)
    without = [name for name in NAMES if not kernels.attends(hparams.read(recorded.header(name)))]
    assert without == ["stablelm-12b"]


def test_kernels_need_more_without_flash_attention_and_with_experts() -> None:
    dense, routed = (Model(recorded.header(name)) for name in ("llama3.1-8b", "qwen3-30b-a3b"))

    def grows(model: Model, **options: Any) -> int:
        table = plan.assemble(model, answer.launch(model, {"ctx_size": 16384, **options}), [GPU])
        return table.rows[0].components["driver_context"].bytes

    assert grows(routed) > grows(dense)
    # f16 scores of 512 tokens against 16,384 cells for 32 heads
    assert grows(dense, flash_attn="off") - grows(dense) >= 2 * 512 * 16384 * 32
