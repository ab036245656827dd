# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan against the log of the server that was started with its flags, over two workers on loopback."""

from __future__ import annotations

from pathlib import Path

import recorded
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import loadlog
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.launch import Launch
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.plan import Model, assemble
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.table import Device

LOG = Path(__file__).resolve().parents[3] / "fixtures" / "recorded" / "load-two-workers.jsonl.txt"
MIB = 1 << 20
LAUNCH = Launch(ctx_size=8192, n_outputs_max=4, gpu_layers=35, tensor_split=(17, 18))


def test_what_was_planned_is_what_was_taken() -> None:
    taken = loadlog.parse(LOG.read_text().splitlines())
    assert taken.pipelined
    devices = [Device(endpoint, "rpc", 1 << 40, 1 << 40) for endpoint in taken.devices]
    table = assemble(Model(recorded.header("gemma3-4b-tied")), LAUNCH, devices)
    for row in table.rows:
        found = taken.buffers[row.device.id]
        for name in ("weights", "kv_cache"):
            assert abs(row.components[name].bytes - found[name]) <= MIB / 100, (row.device.id, name)
        # batches in flight: the dry run that the plan follows reports a little more than the run takes
        assert -32 * MIB <= row.components["compute"].bytes - found["compute"] <= 64 * MIB
    assert abs(table.host["mapped_weights"].bytes - taken.buffers["host"]["weights"]) <= MIB / 100
    assert abs(table.host["output"].bytes - taken.buffers["host"]["output"]) <= MIB / 100
