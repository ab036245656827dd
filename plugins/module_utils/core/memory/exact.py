# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the installed build itself: llama-fit-params builds model and context without allocating, and reports.

It knows no unified cache, no projector and no draft, and reserves logits for the whole batch; so weights and cache are
compared for one sequence, and its compute buffer is what an embedding server would have.
Source: tools/fit-params/fit-params.cpp, common/fit.cpp (common_fit_print).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import CommandFailed
from .launch import Launch
from .plan import MIB, Model, assemble
from .table import BOUND, Device

_ROW = re.compile(r"^(?P<name>\S+) (?P<model>\d{1,9}) (?P<context>\d{1,9}) (?P<compute>\d{1,9}) ?$")


@dataclass(frozen=True)
class Measured:
    """MiB of one device, or of the host (the last)."""

    name: str
    weights: int
    context: int
    compute: int


def comparable(launch: Launch) -> Launch:
    """The launch as llama-fit-params can be given it."""
    return replace(launch, parallel=1, kv_unified=False, n_outputs_max=0, draft_max=0, embeddings=False)


def of_options(options: Mapping[str, Any]) -> Launch:
    """The launch of a plan, from its resolved options (`answer.flags`)."""
    names = (
        "ctx_size", "batch_size", "ubatch_size", "cache_type_k", "cache_type_v", "gpu_layers", "n_cpu_moe",
    )  # fmt: skip
    split = tuple(options["tensor_split"]) if len(options["device"]) > 1 else ()
    return Launch(
        **{name: options[name] for name in names}, tensor_split=split, flash_attn=options["flash_attn"] == "on"
    )


def report(model: Model, options: Mapping[str, Any], devices: Sequence[Device], output: str) -> dict[str, Any]:
    """`{devices: [{id, weights, context, compute} in bytes], differences: [sentences]}` of an output of the tool.

    :raises CommandFailed: it names other devices than the plan.
    """
    rows, wanted = parse(output), len(devices)
    if len(rows) != wanted + 1:
        raise CommandFailed(
            f"The build sees {len(rows) - 1} devices, the plan has {wanted}.",
            "Plan for the devices of this host, in its order.",
        )
    listed = [
        {"id": device.id, "weights": row.weights * MIB, "context": row.context * MIB, "compute": row.compute * MIB}
        for device, row in zip(devices, rows)
    ]
    return {"devices": listed, "differences": differences(model, of_options(options), devices, rows)}


def command(tool: str, path: str, launch: Launch, workers: Sequence[str] = ()) -> list[str]:
    """The command that measures a launch; `workers` are endpoints of RPC workers, which come before other devices."""
    argv = [
        tool, "-m", path, "-fitp", "on", "-c", str(launch.ctx_size), "-b", str(launch.batch_size),
        "-ub", str(launch.ubatch_size), "-ctk", launch.cache_type_k, "-ctv", launch.cache_type_v,
        "-fa", "on" if launch.flash_attn else "off", "-ngl", str(launch.gpu_layers if launch.gpu_layers >= 0 else 9999),
    ]  # fmt: skip
    if launch.tensor_split:
        argv += ["-ts", ",".join(str(part) for part in launch.tensor_split)]
    if launch.n_cpu_moe:
        argv += ["-ncmoe", str(launch.n_cpu_moe)]
    return argv + (["--rpc", ",".join(workers)] if workers else [])


def parse(output: str) -> list[Measured]:
    """The rows of llama-fit-params, in the order of its devices, the host last.

    :raises CommandFailed: there are none.
    """
    rows = [match for match in map(_ROW.match, output.splitlines()) if match]
    if not rows:
        raise CommandFailed("llama-fit-params printed no memory.", "Try its command by hand.")
    return [Measured(row["name"], int(row["model"]), int(row["context"]), int(row["compute"])) for row in rows]


def differences(model: Model, launch: Launch, devices: Sequence[Device], measured: Sequence[Measured]) -> list[str]:
    """Where the memory model and the build disagree, one sentence each; MiB are rounded down by the tool.

    Weights and cache must agree; the compute buffer, with what it fetches from the host, within 32 MiB or a tenth. A
    bound may be larger.
    """
    table = assemble(model, comparable(launch), devices)
    found = []
    for row, truth in zip(table.rows, measured):
        cells = {name: cell.bytes for name, cell in row.components.items()}
        mine = {
            "weights": cells.get("weights", 0),
            "context": cells.get("kv_cache", 0) + cells.get("recurrent_state", 0),
            "compute": cells.get("compute", 0) + cells.get("staging", 0),
        }
        bound = "staging" in row.components or ("compute" in cells and row.components["compute"].kind == BOUND)
        for name, size in mine.items():
            said = getattr(truth, name)
            allowed = max(32, said // 10) if name == "compute" else 0
            if said - size // MIB > allowed or (size // MIB - said > allowed and not (bound and name == "compute")):
                found.append(f"{row.device.id}: {name} are {said} MiB by the build and {size // MIB} MiB by the plan.")
    return found
