# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the log of a start to the bytes that llama.cpp took, by device and component.

Read are the lines `X buffer size = N MiB` of src/llama-model.cpp (load_tensors), src/llama-kv-cache.cpp,
src/llama-memory-recurrent.cpp and src/llama-context.cpp (output, compute), printed at `-lv 4`, as text or as the
records of `--log-jsonl`. They are added up: two caches, a draft model and a projector print a line each. Passes
that only measure (common/fit.cpp) may print the same lines first; those are dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

_MIB = 1 << 20
_BUFFER = re.compile(  # a buffer begins a word: tried at each letter of a long one, it would take hours
    r"(?<!\S)(?P<buffer>\S+) +(?P<what>model|output|KV|RS|compute) buffer size = +(?P<size>\d{1,9}\.\d{2}) MiB"
)
_COMPONENT = {"model": "weights", "output": "output", "KV": "kv_cache", "RS": "recurrent_state", "compute": "compute"}
_REMOTE = re.compile(r"RPC\d*\[(?P<endpoint>[^\]]{1,300})\]")
# Passes that measure announce themselves, and all of them come before the load.
_MEASURES = re.compile(r"common_(?:params_fit|fit_params|get_device_memory)|llama_params_fit")
# Buffers of the processor, for weights that it lays out anew too (ggml/src/ggml-cpu), and those that a GPU reads from.
_HOST = re.compile(r"CPU|CPU_\w+|AMX|\w+_Host")
_SPLITS = re.compile(r"pipeline parallelism enabled")
_RETRIED = re.compile(r"compute buffer allocation failed, retrying without pipeline parallelism")


@dataclass
class Found:
    """What a log says.

    :param buffers: bytes by buffer (a device, an endpoint, or `host`) and component.
    :param breakdown: rows of the last record of the kind `fit_memory_breakdown`, in MiB.
    :param pipelined: several batches are in flight, see compute.pipelined.
    """

    buffers: dict[str, dict[str, int]] = field(default_factory=dict)
    breakdown: list[dict[str, Any]] = field(default_factory=list)
    pipelined: bool = False

    @property
    def devices(self) -> list[str]:
        """Buffers that are no host memory, by name."""
        return sorted(name for name in self.buffers if name != "host")


def parse(lines: Iterable[str]) -> Found:
    """What the lines of a log say; lines that say nothing, or are cut, are passed over."""
    found = Found()
    for text, record in _messages(lines):
        if record is not None:
            found.breakdown = record
            continue
        if _MEASURES.search(text):
            found.buffers, found.pipelined = {}, False
        found.pipelined = (found.pipelined or _SPLITS.search(text) is not None) and _RETRIED.search(text) is None
        match = _BUFFER.search(text)
        if match is None:
            continue
        name = buffer_name(match["buffer"])
        cells = found.buffers.setdefault(name, {})
        component = _COMPONENT[match["what"]]
        cells[component] = cells.get(component, 0) + round(float(match["size"]) * _MIB)
    return found


def buffer_name(buffer: str) -> str:
    """`host`, the endpoint of a remote device (every worker calls itself RPC0), or the device's name as printed."""
    remote = _REMOTE.match(buffer)
    if remote:
        return remote["endpoint"]
    return "host" if _HOST.fullmatch(buffer) else buffer


def _messages(lines: Iterable[str]) -> Iterator[tuple[str, list[dict[str, Any]] | None]]:
    """Text of every line, and the rows of a record of the fit."""
    for line in lines:
        if not line.startswith("{"):
            yield line, None
            continue
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if not isinstance(record, dict):
            continue
        data = record.get("data")
        if record.get("type") == "fit_memory_breakdown" and isinstance(data, dict):
            rows = data.get("rows")
            yield "", [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        elif isinstance(record.get("msg"), str):
            for part in record["msg"].splitlines():
                yield part, None
