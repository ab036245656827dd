# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of an instance of the kind `transformers`: its weights by the headers of its safetensors files, all on one
device, and a bound for what one batch takes.

Layout of the files: https://huggingface.co/docs/safetensors (eight bytes of length, then JSON).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..build.builds import Build
from ..errors import Untrusted
from ..memory.plan import headroom
from ..sizes import human
from . import candidates, served, transformers
from .definition import Instance
from .placement import Devices
from .planned import DoesNotFit, Question
from .record import LOOSE, Record
from .room import HOST, Left, Room
from .served import Served

SCHEMA = 1
_HEADER_LIMIT = 100 << 20  # bytes; the limit of the library safetensors
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
_DTYPES = {"float32": 4, "bfloat16": 2, "float16": 2}
_CONTEXT = 600 << 20  # bytes of a process on a GPU besides what it allocates
_BATCH_TOKENS = 16384  # default of the service, roles/llama_reranker/files/service/llama_reranker/__main__.py
_WIDTH = 1024  # where a configuration does not say


def ask(instance: Instance, build: Build, files: Served, room: Room) -> Question:
    """The question of an instance; without devices it is for the CPU.

    :raises InvalidInput: the device is not there.
    """
    known = room.devices(transformers.BACKEND) if instance.devices and instance.devices.ids else []
    asked = instance if instance.devices and instance.devices.ids else replace(instance, devices=Devices())
    devices, exactly = candidates.choose(asked, build, "cpu", known)
    options = {"dtype": str(instance.options.get("dtype") or "auto")}
    options["batch_tokens"] = str(instance.options.get("batch_tokens") or _BATCH_TOKENS)
    identity = [[item["id"], item.get("name")] for item in devices]
    inputs = served.digest([SCHEMA, instance.kind, build.id, files.content, options, identity])
    return Question(instance, build, files, options, (), tuple(devices), exactly, inputs)


def record(question: Question, left: Left, learned: Mapping[str, int]) -> Record:
    """The plan, as it stands in the unit.

    :param learned: bytes of the driver's own by device id.
    :raises DoesNotFit: it does not fit; never with `plan.force`, nor for an instance that is not to run.
    :raises Untrusted: a file is no safetensors file.
    """
    config, gpu = _config(question.files.model.path), bool(question.devices)
    paths = [item.path for item in question.files.model.files if item.path.endswith(".safetensors")]
    weights = sum(weights_of(path, question.options["dtype"], gpu) for path in paths)
    batch = _batch(config, int(question.options["batch_tokens"]))
    rows = tuple(
        {
            **{key: device.get(key) or "" for key in ("id", "name", "vendor", "backend", "total")},
            "components": {
                "weights": weights,
                "compute": batch,
                "driver_context": learned.get(str(device["id"]), _CONTEXT),
                "headroom": headroom(int(device["total"])),
            },
            "flag": "cuda",
            "buffer": "CUDA0",  # the only one that it sees
        }
        for device in question.devices
    )
    host = {"components": {}, "needed": 0} if gpu else {
        "components": {"mapped_weights": weights, "compute": batch}, "needed": weights + batch
    }  # fmt: skip
    short = _short(rows, host, left)
    if short and question.instance.wanted and not question.instance.plan.force:
        raise _refusal(question.instance.name, short)
    return Record(question.inputs, {}, rows, {**host, "ceiling": None}, "", LOOSE, gpu, forced=bool(short))


def weights_of(path: str, dtype: str, gpu: bool) -> int:
    """Bytes of the tensors of a file as the service holds them: on a GPU as they are, on the CPU as float32.

    :raises Untrusted: it is no safetensors file.
    """
    each = _DTYPES.get(dtype, 0 if gpu else 4)
    found = 0
    for tensor in _header(path).values():
        kind, shape = str(tensor.get("dtype")), tensor.get("shape")
        if not isinstance(shape, list) or not all(isinstance(size, int) and size >= 0 for size in shape):
            raise Untrusted(f"{path} has a tensor without a shape.")
        count = 1
        for size in shape:
            count *= size
        own = _BYTES.get(kind)
        found += count * (8 if own is None else each or own)
    return found


def _header(path: str) -> dict[str, Mapping[str, Any]]:
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_HEADER_LIMIT, os.path.getsize(path)):
                raise ValueError("its length cannot be")
            said = json.loads(file.read(length))
        return {name: item for name, item in said.items() if name != "__metadata__" and isinstance(item, dict)}
    except (OSError, ValueError, AttributeError, RecursionError) as exc:
        raise Untrusted(f"The header of {path} cannot be read: {exc}.", "Fetch the model again.") from exc


def _config(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError, RecursionError) as exc:
        raise Untrusted(f"{path} cannot be read: {exc}.", "Fetch the model again.") from exc
    return found if isinstance(found, dict) else {}


def _batch(config: Mapping[str, Any], tokens: int) -> int:
    """A bound for one layer's tensors of one batch, as float32: ten rows of the width, three of the feed forward."""

    def number(key: str, default: int) -> int:
        value = config.get(key)
        return value if isinstance(value, int) and 0 < value < 1 << 20 else default

    width = number("hidden_size", _WIDTH)
    return 4 * tokens * (10 * width + 3 * number("intermediate_size", 4 * width))


def _short(rows: Sequence[Mapping[str, Any]], host: Mapping[str, Any], left: Left) -> dict[str, tuple[int, int]]:
    """What is needed and what is left, where that is less."""
    needs = {str(row["id"]): sum(row["components"].values()) for row in rows} or {HOST: int(host["needed"])}
    return {name: (size, left.free[name]) for name, size in needs.items() if size > left.free[name]}


def _refusal(name: str, short: Mapping[str, tuple[int, int]]) -> DoesNotFit:
    parts = [
        f"{human(needs)} of {'the host' if device == HOST else device}, where {human(limit)} are left"
        for device, (needs, limit) in short.items()
    ]
    return DoesNotFit(
        f"Instance {name!r} does not fit: it needs {' and '.join(parts)}.",
        "Lower options.batch_tokens, stop another instance, or launch it in any case: plan: {force: true}.",
        instance=name,
        short={device: {"needed": needs, "left": limit} for device, (needs, limit) in short.items()},
    )
