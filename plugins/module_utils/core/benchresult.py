# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What llama-bench measured: reading its output, and keeping it as one line a run in `benchmarks/results.jsonl`."""

from __future__ import annotations

import calendar
import json
import math
import os
import re
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from .errors import Untrusted
from .model.modelset import ModelFile
from .tree import Tree

SCHEMA = 1
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_LARGEST_TIME, _LARGEST_COUNT = (1 << 63) - 1, (1 << 31) - 1
_FIELD = re.compile(r"[a-z0-9_]{1,40}")
# for equal samples llama-bench may print -nan as their deviation, which is no JSON, and the integers behind its
# stddev_ns can wrap around (tools/llama-bench/llama-bench.cpp, stdev); samples_ns holds all there is
_DERIVED = re.compile(r'^(\s*"(?:avg_ns|stddev_ns|avg_ts|stddev_ts|samples_ts)": ).*?(,?)$', re.M)


def read_rows(output: str) -> list[dict[str, Any]]:
    """The rows of `llama-bench -o json`, each a test.

    A row has what llama-bench says of it, and besides: `test` (`pp512`, `tg128 @ d4096`), `samples_ts`, `avg_ts`,
    `stddev_ts` (tokens/s) and `avg_ns`, all reckoned from its `samples_ns`.

    :raises Untrusted: this is no such output, or a row without a measurement.
    """
    try:
        found = json.loads(_DERIVED.sub(r"\1null\2", output))
    except (ValueError, RecursionError) as exc:
        raise Untrusted(f"llama-bench printed no JSON: {exc}.", _REMEDY) from exc
    if not isinstance(found, list) or not found:
        raise Untrusted("llama-bench printed no rows.", _REMEDY)
    return [_row(row) for row in found]


_REMEDY = "Run the command line by hand and see what it prints."


def _row(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise Untrusted("llama-bench printed a row that is no object.", _REMEDY)
    prompt, generated, depth = (_count(row, name) for name in ("n_prompt", "n_gen", "n_depth"))
    samples = row.get("samples_ns")
    if not isinstance(samples, list) or not samples or not all(whole(ns, 1, _LARGEST_TIME) for ns in samples):
        raise Untrusted(f"llama-bench printed a row whose samples_ns are no times: {str(samples)[:100]}.", _REMEDY)
    if not prompt + generated:
        raise Untrusted("llama-bench printed a row of zero tokens.", _REMEDY)
    speeds = [1e9 * (prompt + generated) / ns for ns in samples]
    return {
        **{name: value for name, value in row.items() if _plain(name, value)},
        "test": label(prompt, generated, depth),
        "n_depth": depth,
        "samples_ns": samples,
        "samples_ts": speeds,
        "avg_ns": statistics.fmean(samples),
        "avg_ts": statistics.fmean(speeds),
        "stddev_ts": statistics.stdev(speeds) if len(speeds) > 1 else 0.0,
    }


def label(prompt: int, generated: int, depth: int) -> str:
    """The name of a test as llama-bench's own table shows it."""
    parts = [f"pp{prompt}"] * bool(prompt) + [f"tg{generated}"] * bool(generated)
    return "+".join(parts) + (f" @ d{depth}" if depth else "")


def _count(row: Mapping[str, Any], name: str) -> int:
    value = row.get(name, 0)
    if not whole(value, 0, _LARGEST_COUNT):
        raise Untrusted(f"llama-bench printed a row whose {name} is {str(value)[:100]}.", _REMEDY)
    return int(value)


def whole(value: Any, least: int, most: int) -> bool:
    """True for a whole number within these limits; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _plain(name: str, value: Any) -> bool:
    if not _FIELD.fullmatch(name) or value is None:
        return False
    if isinstance(value, str):
        return len(value) <= 4096
    return isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value))


def path(tree: Tree) -> str:
    return os.path.join(tree.benchmarks, "results.jsonl")


def history(tree: Tree) -> Iterator[dict[str, Any]]:
    """The stored results, oldest first; lines that are none (a write that was cut off) are passed over."""
    try:
        with open(path(tree), encoding="utf-8", errors="replace") as file:
            for line in file:
                record = _record(line)
                if record is not None:
                    yield record
    except FileNotFoundError:
        return


def digests(tree: Tree) -> dict[ModelFile, str]:
    """The SHA-256 of the files that were measured, by `ModelFile` without its digest."""
    found = {}
    for record in history(tree):
        try:
            for file in record["model"]["files"]:
                found[replace(ModelFile(**file), sha256="")] = str(file["sha256"])
        except (KeyError, TypeError):
            continue
    return found


def latest(tree: Tree, key: str, max_age: float | None) -> dict[str, Any] | None:
    """The newest result with this key, if it is not older than `max_age` seconds."""
    found = None
    for record in history(tree):
        if record["key"] == key:
            found = record
    return found if found and (max_age is None or age(found) <= max_age) else None


def age(record: Mapping[str, Any]) -> float:
    """Seconds since a result was measured; infinite when it does not say."""
    try:
        return time.time() - calendar.timegm(time.strptime(str(record.get("time")), _TIME))
    except ValueError:
        return math.inf


def now() -> str:
    return time.strftime(_TIME, time.gmtime())


def append(tree: Tree, record: Mapping[str, Any]) -> None:
    """Add a result; the caller holds the lock of the root."""
    os.makedirs(tree.benchmarks, 0o755, exist_ok=True)
    with open(path(tree), "a+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
        cut_off = end and file.read(1) != b"\n"
        line = json.dumps({"schema": SCHEMA, **record}, sort_keys=True, allow_nan=False) + "\n"
        file.write((b"\n" if cut_off else b"") + line.encode())
        file.flush()
        os.fsync(file.fileno())


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(record, dict) and record.get("schema") == SCHEMA
    return record if known and isinstance(record.get("key"), str) and isinstance(record.get("rows"), list) else None
