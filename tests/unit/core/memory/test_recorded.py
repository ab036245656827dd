# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory model against what llama.cpp itself said about the same models and launches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import recorded
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import (
    cache,
    coefficients,
    hparams,
    layers,
    shapes,
    tables,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.launch import Launch, context
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.layers import HOST
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.plan import Model

MIB = 1 << 20
NAMES = list(recorded.models())


def launch_of(row: dict[str, Any]) -> tuple[Launch, int]:
    """The launch of a row, and its number of devices."""
    asked = dict(row["launch"])
    devices, drafted = asked.pop("devices"), asked.pop("n_rs_seq", 0)
    asked.pop("mtp", None)
    asked["tensor_split"] = tuple(asked.get("tensor_split", ()))
    return Launch(**{"parallel": 1, "kv_unified": False, **asked}, draft_max=drafted), devices


def of_model(name: str) -> Iterator[tuple[dict[str, Any], Launch, int]]:
    for row in recorded.rows():
        if row["model"] == name:
            yield row, *launch_of(row)


def device(key: str) -> int:
    return HOST if key == "host" else int(key)


@pytest.mark.parametrize("name", NAMES)
def test_hyperparameters_are_those_of_llama_cpp(name: str) -> None:
    truth, found = recorded.models()[name]["hparams"], hparams.read(recorded.header(name))
    assert {
        "head": [layer.heads for layer in found.layers],
        "kv": [layer.kv_heads for layer in found.layers],
        "k": [layer.key for layer in found.layers],
        "v": [layer.value for layer in found.layers],
        "ff": [layer.ff for layer in found.layers],
        "swa": [int(layer.sliding) for layer in found.layers],
        "recr": [int(layer.recurrent) for layer in found.layers],
        "mla": found.compressed,
        "r": found.r_width,
        "s": found.s_width,
        "n_swa": found.window,
        "nextn": found.nextn,
        "causal": found.causal,
    } == {key: value for key, value in truth.items() if key not in ("has_kv", "swa_type")}


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_exact_on_every_device(name: str) -> None:
    model = Model(recorded.header(name))
    for row, launch, count in of_model(name):
        placed = model.weights(launch, layers.place(model.hparams, launch, count), ("rpc",) * count)
        truth = {device(key): cells[0] for key, cells in row["main"].items()}
        assert {key: placed.bytes[key] for key in truth} == truth, launch


@pytest.mark.parametrize("name", NAMES)
def test_cache_and_recurrent_state_are_exact_on_every_device(name: str) -> None:
    hp = hparams.read(recorded.header(name))
    for row, launch, count in of_model(name):
        ctx, placement = context(hp, launch), layers.place(hp, launch, count)
        kept, state = cache.sizes(hp, launch, ctx, placement), cache.recurrent_sizes(hp, launch, ctx, placement)
        truth = {device(key): cells[1] for key, cells in row["main"].items()}
        assert {key: kept[key] + state[key] for key in truth} == truth, launch
        drafting = cache.sizes(hp, launch, ctx, placement, mtp=True)
        for key, cells in row.get("mtp", {}).items():
            assert drafting[device(key)] == cells[1], launch


def test_enough_is_recorded() -> None:
    architectures = {model["metadata"]["general.architecture"] for model in recorded.models().values()}
    assert len(recorded.rows()) >= 200 and len(architectures) >= 25
    assert {row["launch"]["devices"] for row in recorded.rows()} >= {1, 2, 3, 4}


def test_the_coefficients_are_of_architectures_that_are_recorded() -> None:
    architectures = {model["metadata"]["general.architecture"] for model in recorded.models().values()}
    known = coefficients.TABLES["FLASH"]
    assert set(known) <= architectures and len(known) >= 25
    planes = [plane for name in known for _sure, _where, plane in tables.regimes("FLASH", name)]
    assert all(len(plane) == len(shapes.FEATURES) + 1 for plane in planes)
