# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured of compute buffers, unpacked for the one architecture that is asked for.

A module is compiled anew for each of its runs: as Python, all the tables took it longer than a plan takes.
"""

from __future__ import annotations

import functools
import json

from .coefficients import HOLES, TABLES

# whether a sum holds for every geometry, where it was measured (shapes.ratios), multiples of shapes.FEATURES
Regime = tuple[bool, "tuple[float, ...]", "tuple[float, ...]"]
# the size of a mask beside a row of the batch (shapes.share), and the rows that it moves
Curve = tuple["tuple[float, float]", ...]


@functools.cache
def regimes(table: str, architecture: str) -> tuple[Regime, ...]:
    """The sums of an architecture in a table; none where it was never measured."""
    found = json.loads(TABLES[table].get(architecture, "[]"))
    return tuple((bool(sure), tuple(where), tuple(plane)) for sure, where, plane in found)


@functools.cache
def curves(table: str, architecture: str) -> tuple[tuple[tuple[float, ...], Curve], ...]:
    """By geometry how masks of each size move the rows of the batch; none where that was never measured."""
    found = json.loads(HOLES.get(table, {}).get(architecture, "[]"))
    return tuple((tuple(where), tuple((share, rows) for share, rows in curve)) for where, curve in found)
