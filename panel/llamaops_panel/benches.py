# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two results of llama-bench side by side. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

SIGMAS = 2.0  # a difference of two means within so many of its standard deviations is noise
LEAST = 0.01  # nor does one of less than one percent say anything


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


@dataclass(frozen=True)
class _Test:
    """A mean of tokens a second, and the variance of that mean."""

    mean: float
    variance: float


def compare(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Difference]:
    """Of each test that both records have, in the order of the left one."""
    before, after = _tests(left), _tests(right)
    return [_difference(name, before[name], after[name]) for name in before if name in after]


def _difference(name: str, a: _Test, b: _Test) -> Difference:
    band = max(SIGMAS * math.sqrt(a.variance + b.variance) / a.mean, LEAST)
    ratio = b.mean / a.mean
    verdict = "same" if abs(ratio - 1) <= band else "faster" if ratio > 1 else "slower"
    return Difference(name, a.mean, b.mean, ratio, band, verdict)


def _tests(record: Mapping[str, Any]) -> dict[str, _Test]:
    """The tests of a record by name; what a host said wrongly is left out."""
    rows = record.get("rows")
    found = {}
    for row in rows if isinstance(rows, list) else []:
        test = _test(row) if isinstance(row, Mapping) else None
        if test is not None:
            found[str(row.get("test", ""))] = test
    return found


def _test(row: Mapping[str, Any]) -> _Test | None:
    """By its samples; by mean and deviation where it does not tell them."""
    samples = row.get("samples_ts")
    kept = [float(value) for value in samples if _speed(value)] if isinstance(samples, list) else []
    if kept:
        return _Test(statistics.fmean(kept), statistics.variance(kept) / len(kept) if len(kept) > 1 else 0.0)
    mean, spread = row.get("avg_ts"), row.get("stddev_ts")
    if not _speed(mean):
        return None
    return _Test(float(mean), float(spread) ** 2 if _speed(spread) else 0.0)


def _speed(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
