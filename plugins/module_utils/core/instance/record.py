# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan as it stands in a unit: what was decided, for which inputs, and the bytes it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1
LOOSE = "loose"  # the confidence where torch has the weights: it leaves tensors out, and has buffers of its own
PLAN, INPUTS = "Plan", "PlanInputs"  # keys in [X-LlamaOps]
# backend -> name of its devices for llama-server, and the variable that chooses and orders them
NAMES = {"cuda": "CUDA", "hip": "ROCm", "vulkan": "Vulkan", "rpc": "RPC"}
VISIBLE = {"cuda": "CUDA_VISIBLE_DEVICES", "hip": "ROCR_VISIBLE_DEVICES"}


@dataclass(frozen=True)
class Record:
    """A plan that stands.

    :param inputs: hash of everything it was made from.
    :param options: every option that decides about memory, as a number or a word; see `memory.answer.flags`.
    :param devices: in the order of llama-server: `{id, name, vendor, backend, flag, buffer, total, components}`, where
        `flag` is the name for `--device`, `buffer` what the log calls it, and components are bytes by name.
    :param whole: every layer and the output lie on devices.
    :param host: `{components: {name: bytes}, needed, ceiling}`; `ceiling` is None where nothing bounds it.
    """

    inputs: str
    options: Mapping[str, Any]
    devices: tuple[Mapping[str, Any], ...] = ()
    host: Mapping[str, Any] = field(default_factory=dict)
    rung: str = ""
    confidence: str = "high"
    whole: bool = False
    forced: bool = False

    def on(self, device: str) -> int:
        """Bytes planned on a device, its headroom left out: that is nobody's."""
        cells: Mapping[str, int] = next((row["components"] for row in self.devices if row["id"] == device), {})
        return sum(size for name, size in cells.items() if name != "headroom")

    @property
    def local(self) -> tuple[Mapping[str, Any], ...]:
        """The devices of this host."""
        return tuple(row for row in self.devices if row["backend"] != "rpc")

    @property
    def needed(self) -> int:
        """Bytes of the host's memory."""
        return int(self.host.get("needed", 0))

    @property
    def ceiling(self) -> int | None:
        """Bytes of the host's memory that are never more than needed; None where nobody can say."""
        return self.host.get("ceiling")

    @property
    def total(self) -> int:
        """Bytes planned, on all devices and on the host."""
        return self.needed + sum(self.on(row["id"]) for row in self.devices)

    def document(self) -> dict[str, Any]:
        """The plan for results and programs."""
        return {"schema": SCHEMA, **{key: value for key, value in asdict(self).items() if key != "inputs"}}

    def facts(self) -> dict[str, str]:
        """What the unit says about it."""
        return {INPUTS: self.inputs, PLAN: json.dumps(self.document(), separators=(",", ":"), sort_keys=True)}

    @classmethod
    def of(cls, facts: Mapping[str, str]) -> Record | None:
        """The plan that a unit holds; None where there is none that can be understood."""
        try:
            found = json.loads(facts.get(PLAN, ""))
            if found.pop("schema") != SCHEMA:
                return None
            devices = tuple(found.pop("devices"))
            record = cls(facts.get(INPUTS, ""), devices=devices, **found)
            whole = [record.on(row["id"]) + len(row["flag"] + row["buffer"]) for row in devices]
            return record if len(whole) == len(devices) and record.needed >= 0 else None
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def chosen_by_id(devices: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a variable can choose these devices of one backend by their ids; else they keep their own numbers."""
    return all(item["backend"] in VISIBLE and not str(item["id"]).startswith("pci:") for item in devices)


def visible(devices: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The variables that make the names of a build mean these devices, in this order."""
    env: dict[str, str] = {}
    for backend, variable in VISIBLE.items():
        rows = [row for row in devices if row["backend"] == backend]
        if rows and chosen_by_id(rows):
            env[variable] = ",".join(str(row["id"]) for row in rows)
    return env


def named(backend: str, number: int) -> str:
    """The name of a device for `--device`, by its number among those of its backend."""
    return f"{NAMES[backend]}{number}"
