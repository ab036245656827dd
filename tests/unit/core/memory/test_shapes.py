# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured for a shape, and what is made of it between and behind the points."""

from __future__ import annotations

import pytest
import recorded
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import (
    coefficients,
    hparams,
    shapes,
    tables,
)

CURVE = ((1, 2.0), (2, 2.0), (4, 6.0), (8, 10.0))


@pytest.mark.parametrize(
    ("at", "grows", "rows"),
    [
        (0.1, False, 2.0),
        (1.5, False, 2.0),
        (3, False, 6.0),
        (3, True, 4.0),
        (8, False, 10.0),
        (100, False, 10.0),
        (16, True, 18.0),
    ],
)
def test_between_points_the_larger_counts_and_behind_the_last_only_what_grows(
    at: float, grows: bool, rows: float
) -> None:
    assert shapes.between(CURVE, at, grows) == rows


def test_what_fell_at_last_is_not_carried_on() -> None:
    assert shapes.between(((1, 9.0), (2, 3.0)), 50, True) == 3.0


def test_a_model_of_twice_the_size_and_the_same_shape_takes_twice_as_much() -> None:
    found = recorded.models()["qwen3-30b-a3b"]
    double = dict(found["metadata"])
    for key in ("embedding_length", "attention.head_count", "attention.head_count_kv", "expert_feed_forward_length"):
        double[f"qwen3moe.{key}"] *= 2
    one, two = (
        hparams.read(recorded.make_header(metadata, recorded.unpack(found["tensors"])))
        for metadata in (found["metadata"], double)
    )
    for table in ("FLASH", "SOME", "LAST"):
        once, twice = shapes.live(table, one, 8192), shapes.live(table, two, 16384)
        assert once and twice == pytest.approx(2 * once, rel=0.01), table


def test_every_curve_is_of_an_architecture_and_goes_up_in_shares() -> None:
    points = 0
    for table, known in coefficients.HOLES.items():
        for architecture in known:
            for where, curve in tables.curves(table, architecture):
                assert len(where) == len(shapes.FEATURES) - 2, table
                assert [share for share, _rows in curve] == sorted({share for share, _rows in curve})
                points += len(curve)
    assert points > 1000
