# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compute buffers, which are measured and not derived: how far they may be from what llama.cpp said."""

from __future__ import annotations

import functools

import recorded
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import compute, hparams, layers
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.launch import Launch, context
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.plan import Model, assemble
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.table import Device
from test_recorded import device, launch_of

MIB = 1 << 20
# Recurrent layers and others mixed differently on every device, and indexers: the plan calls their numbers bounds.
KNOWN_HIGH = {"nemotron-nano-9b", "deepseek-v3.2", "glm-5", "deepseek-v4-flash", "minimax-m3"}


@functools.cache
def errors() -> list[tuple[str, str, int, int, int]]:
    """Model, device, bytes computed too many, bytes of the compute buffer, bytes of the device in total."""
    found = []
    for row in recorded.rows():
        launch, count = launch_of(row)
        hp = hparams.read(recorded.header(row["model"]))
        sizes = compute.sizes(hp, launch, context(hp, launch), layers.place(hp, launch, count)).bytes
        for key, cells in row["main"].items():
            found.append((row["model"], key, sizes[device(key)] - cells[2], cells[2], sum(cells)))
    return found


def test_the_buffer_is_never_much_larger_than_said() -> None:
    assert min((error, model) for model, _other, error, _size, _other in errors())[0] >= -32 * MIB


def test_all_buffers_are_as_said() -> None:
    missed = {model for model, _other, error, size, _other in errors() if abs(error) > max(32 * MIB, size / 10)}
    assert missed == KNOWN_HIGH


def test_a_number_that_may_be_too_high_is_called_a_bound() -> None:
    devices = [Device(name, "rpc", 1 << 40, 1 << 40) for name in "abcd"]
    for name, kind in (*((name, "bound") for name in KNOWN_HIGH), ("llama3.1-8b", "model"), ("qwen3.5-9b", "model")):
        model = Model(recorded.header(name))
        slots = len(model.hparams.layers) + 1
        split = tuple(slots * (index + 1) // 4 - slots * index // 4 for index in range(4))
        table = assemble(model, Launch(ctx_size=8192, tensor_split=split, gpu_layers=slots), devices)
        assert {row.components["compute"].kind for row in table.rows} == {kind}


def test_devices_in_total_are_as_said() -> None:
    ranked = sorted(abs(error) / total for _other, key, error, _other, total in errors() if key != "host" and total)
    assert ranked[len(ranked) // 2] < 0.001 and ranked[int(len(ranked) * 0.9)] < 0.005


def test_a_pipeline_keeps_four_copies_of_every_mask() -> None:
    hp = hparams.read(recorded.header("llama3.1-8b"))
    sizes = {}
    for ctx_size in (32768, 65536):
        launch = Launch(ctx_size=ctx_size, n_outputs_max=4, gpu_layers=33, tensor_split=(17, 16))
        found = compute.sizes(hp, launch, context(hp, launch), layers.place(hp, launch, 2))
        sizes[ctx_size] = found.bytes[0]
    assert sizes[65536] - sizes[32768] == 4 * 2 * 512 * 32768
