# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of starts: what is added up, what is dropped, and that nothing but a result comes of hostile lines."""

from __future__ import annotations

import json
import time
from pathlib import Path

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import loadlog
from hypothesis import given
from hypothesis import strategies as st

RECORDED = Path(__file__).resolve().parents[3] / "fixtures" / "recorded" / "load-two-workers.jsonl.txt"
MIB = 1 << 20


def in_mib(found: loadlog.Found) -> dict[str, dict[str, float]]:
    return {name: {part: round(size / MIB, 2) for part, size in cells.items()} for name, cells in found.buffers.items()}


def test_a_recorded_start_over_two_workers_is_added_up_by_endpoint() -> None:
    found = loadlog.parse(RECORDED.read_text().splitlines())
    assert in_mib(found) == {
        "host": {"weights": 360.0, "output": 4.0, "compute": 75.08},
        "127.0.0.1:51801": {"weights": 1003.76, "kv_cache": 334.0, "compute": 144.07},
        "127.0.0.1:51802": {"weights": 1363.77, "kv_cache": 348.0, "compute": 144.07},
    }
    assert found.devices == ["127.0.0.1:51801", "127.0.0.1:51802"]
    assert [row["name"] for row in found.breakdown] == ["RPC0", "RPC1", "Host"]


TEXT = """\
llama_kv_cache:      CUDA0 KV buffer size =   999.00 MiB
common_params_fit_impl: projected memory use with initial parameters [MiB]:
load_tensors: loading model tensors, this can take a while... (load_mode = mmap)
load_tensors:   CPU_Mapped model buffer size =   259.93 MiB
load_tensors:        CUDA0 model buffer size =  4000.25 MiB
load_tensors:    CUDA_Host model buffer size =     1.00 MiB
llama_kv_cache:      CUDA0 KV buffer size =    64.00 MiB
llama_kv_cache:      CUDA0 KV buffer size =    16.00 MiB
llama_memory_recurrent:  CUDA0 RS buffer size =     0.50 MiB
sched_reserve:      CUDA0 compute buffer size =   100.00 MiB
llama_context: pipeline parallelism enabled
"""


def test_text_is_read_alike_and_the_pass_that_measures_is_dropped() -> None:
    found = loadlog.parse(TEXT.splitlines())
    assert in_mib(found) == {
        "host": {"weights": 260.93},
        "CUDA0": {"weights": 4000.25, "kv_cache": 80.0, "recurrent_state": 0.5, "compute": 100.0},
    }
    assert found.pipelined


def test_a_line_of_a_megabyte_is_passed_over_at_once() -> None:
    began = time.process_time()
    lines = ["y" * (1 << 20), "y " * (1 << 19), "y" + " " * (1 << 20), json.dumps({"msg": "y" * (1 << 20)})]
    assert loadlog.parse([*lines, "load_tensors: CUDA0 model buffer size =     1.00 MiB"]).devices == ["CUDA0"]
    assert time.process_time() - began < 5


def test_buffers_of_the_processor_are_the_host_whatever_they_are_called() -> None:
    names = ("CPU", "CPU_Mapped", "CPU_REPACK", "CPU_HBM", "CPU_KLEIDIAI", "AMX", "CUDA_Host")
    assert {loadlog.buffer_name(name) for name in names} == {"host"}
    assert loadlog.buffer_name("CUDA0") == "CUDA0"


def test_a_start_that_gave_pipelining_up_says_so() -> None:
    retried = "sched_reserve: compute buffer allocation failed, retrying without pipeline parallelism"
    assert not loadlog.parse([*TEXT.splitlines(), retried]).pipelined


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "msg", "data", "rows", "unit"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.lists(st.text(max_size=80) | st.sampled_from(TEXT.splitlines()) | VALUES.map(json.dumps)))
def test_hostile_lines_give_a_result(lines: list[str]) -> None:
    assert loadlog.parse(lines).buffers is not None


def test_a_record_of_another_shape_is_passed_over() -> None:
    assert (
        loadlog.parse(['{"type":"fit_memory_breakdown","data":[1]}', "[]", '{"msg": 3}', "{", "null"]).breakdown == []
    )
