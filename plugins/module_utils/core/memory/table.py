# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of a plan: bytes by device and component, each with how it is known and why it is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# How a number is known: computed as llama.cpp does, fitted to llama.cpp's own, an upper bound, seen on this hardware.
EXACT, MODEL, BOUND, LEARNED = "exact", "model", "bound", "learned"
COMPONENTS = (
    "weights", "kv_cache", "recurrent_state", "compute", "mmproj", "draft", "driver_context", "staging", "headroom",
)  # fmt: skip
HOST_COMPONENTS = (
    "mapped_weights", "repacked_weights", "kv_cache", "recurrent_state", "compute", "output", "draft", "vocabulary",
    "prompt_cache", "checkpoints", "lazy_weights",
)  # fmt: skip
# What of the host's share the page cache may drop.
RECLAIMABLE = ("mapped_weights", "lazy_weights")
BACKENDS = ("cuda", "rpc", "hip", "vulkan", "cpu")


@dataclass(frozen=True)
class Device:
    """A device. `total` and `free` are bytes; what is not free belongs to others and stays theirs."""

    id: str
    backend: str
    total: int
    free: int
    name: str = ""

    @property
    def capacity(self) -> int:
        return min(self.total, self.free)


@dataclass(frozen=True)
class Cell:
    """Bytes, how they are known, and why they are there."""

    bytes: int
    kind: str
    why: str

    def document(self) -> dict[str, Any]:
        return {"bytes": self.bytes, "kind": self.kind, "why": self.why}


@dataclass(frozen=True)
class Row:
    """One device and its cells; only cells that hold something."""

    device: Device
    components: Mapping[str, Cell]

    @property
    def sum(self) -> int:
        return sum(cell.bytes for cell in self.components.values())

    @property
    def left(self) -> int:
        """Bytes that stay free; negative where the launch does not fit."""
        return self.device.capacity - self.sum

    def document(self) -> dict[str, Any]:
        device = self.device
        return {
            "id": device.id,
            "name": device.name,
            "backend": device.backend,
            "total": device.total,
            "free": device.free,
            "components": {name: self.components[name].document() for name in COMPONENTS if name in self.components},
            "sum": self.sum,
            "left": self.left,
        }


@dataclass(frozen=True)
class Table:
    """What a launch takes.

    :param confidence: "high", or "low" where more than the weights rests on a general rule.
    :param notes: what the reader should know, one sentence each.
    """

    rows: tuple[Row, ...]
    host: Mapping[str, Cell]
    confidence: str
    notes: tuple[str, ...] = field(default=())

    @property
    def fits(self) -> bool:
        """Whether every device has room."""
        return all(row.left >= 0 for row in self.rows)

    @property
    def short(self) -> int:
        """Bytes missing on the devices that lack some."""
        return sum(-row.left for row in self.rows if row.left < 0)

    def host_document(self) -> dict[str, Any]:
        cells = {name: self.host[name].document() for name in HOST_COMPONENTS if name in self.host}
        kept = sum(cell.bytes for name, cell in self.host.items() if name not in RECLAIMABLE)
        return {"components": cells, "sum": sum(cell.bytes for cell in self.host.values()), "resident": kept}


def filled(cells: Mapping[str, Cell]) -> dict[str, Cell]:
    """The cells that hold something."""
    return {name: cell for name, cell in cells.items() if cell.bytes}
