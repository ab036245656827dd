# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two results of llama-bench side by side. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BAND = 2.0  # standard deviations of the difference; beyond it a difference is more than noise


@dataclass(frozen=True)
class Difference:
    """Tokens a second of one test. ratio: right over left. band: the share of left that is noise. verdict: faster,
    slower or same, of the right one.
    """

    test: str
    left: float
    right: float
    ratio: float
    band: float
    verdict: str


def compare(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Difference]:
    """Of each test that both records have, in the order of the left one."""
    others = {test: speed for test, *speed in _tests(right)}
    return [_difference(test, a, noise, *others[test]) for test, a, noise in _tests(left) if test in others]


def _difference(test: str, a: float, a_noise: float, b: float, b_noise: float) -> Difference:
    band = BAND * math.hypot(a_noise, b_noise)
    verdict = "same" if abs(b - a) <= band else "faster" if b > a else "slower"
    return Difference(test, a, b, b / a, band / a, verdict)


def _tests(record: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Name, tokens a second, deviation; what a host said wrongly is left out."""
    rows = record.get("rows")
    found = []
    for row in rows if isinstance(rows, list) else []:
        speed, noise = (row.get("avg_ts"), row.get("stddev_ts")) if isinstance(row, Mapping) else (None, None)
        if isinstance(speed, (int, float)) and math.isfinite(speed) and speed > 0:
            sure = isinstance(noise, (int, float)) and math.isfinite(noise) and noise >= 0
            found.append((str(row.get("test", "")), float(speed), float(noise) if sure and noise is not None else 0.0))
    return found
