# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A question about a model, as users put it, and the answer as a document."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..errors import InvalidInput
from ..names import did_you_mean
from . import choose, kernels, speculation
from .choose import Choice, Wish
from .hparams import Hparams
from .launch import Launch
from .plan import MIB, Extras, Model
from .table import BACKENDS, Device

SCHEMA = 1
_NUMBERS = (
    "ctx_size", "parallel", "batch_size", "ubatch_size", "gpu_layers", "n_cpu_moe", "n_outputs_max", "spec_draft_n_max",
    "cache_ram", "ctx_checkpoints",
)  # fmt: skip
_FLAGS = ("flash_attn", "kv_unified", "kv_offload", "op_offload", "swa_full", "embeddings", "cpu_moe")
_TEXTS = ("cache_type_k", "cache_type_v", "split_mode", "spec_type", "spec_draft_type_k", "spec_draft_type_v")
_FILES = ("mmproj", "spec_draft_model")  # their headers are handed over apart
# other spellings that llama-server takes
_ALSO = {"draft_max": "spec_draft_n_max", "n_gpu_layers": "gpu_layers", "model_draft": "spec_draft_model",
         "embedding": "embeddings", "swa_checkpoints": "ctx_checkpoints", "cache_type_k_draft": "spec_draft_type_k",
         "cache_type_v_draft": "spec_draft_type_v", "draft": "spec_draft_model"}  # fmt: skip
OPTIONS = (*_NUMBERS, *_FLAGS, *_TEXTS, *_FILES, "tensor_split")
_WORDS = {"on": True, "off": False, "true": True, "false": False, "1": True, "0": False}
_WHOLE = re.compile(r"(?:0|-?[1-9][0-9]{0,9})")  # more digits than an int32 has are nobody's wish
_LARGEST = 1 << 31
# Words and negative numbers of llama-server that leave a number to it: common/arg.cpp
_AUTOMATIC = ("auto", "-1")
_ALL = ("all", "-2")
_FROM_MINUS_ONE = ("parallel", "cache_ram")
_CACHE_RAM, _CHECKPOINTS = 8192, 32  # MiB; states of one slot
_PARALLEL, _BATCH, _UBATCH, _DRAFT_MAX = 4, 2048, 512, 3  # defaults of tools/server/server.cpp, common/common.h


def devices(described: Sequence[Mapping[str, Any]]) -> list[Device]:
    """Devices from `{id, backend, name, total, free}`.

    :raises InvalidInput: one has no id, an unknown backend, no size, or appears twice.
    """
    found: list[Device] = []
    for number, item in enumerate(described):
        name = item.get("id")
        if not isinstance(name, str) or not name:
            raise InvalidInput(f"Device {number + 1} has no id.")
        if any(other.id == name for other in found):
            raise InvalidInput(f"The device {name} is listed twice.")
        backend, total = item.get("backend"), item.get("total")
        if backend not in BACKENDS:
            raise InvalidInput(f"The device {name} has the backend {backend!r}.", f"Known are {', '.join(BACKENDS)}.")
        if not isinstance(total, int) or not _is_size(total):
            raise InvalidInput(f"The total memory of the device {name} is {total!r}.", "Give it in bytes.")
        free = item.get("free")
        if free is not None and not _is_size(free):
            raise InvalidInput(f"The free memory of the device {name} is {free!r}.", "Give it in bytes.")
        found.append(Device(name, backend, total, total if free is None else int(free), str(item.get("name") or "")))
    return found


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 50


def canonical(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are set, each by the one name that a plan has for it.

    :raises InvalidInput: an option is unknown, or given in two spellings.
    """
    found: dict[str, Any] = {}
    for key, value in options.items():
        name = _ALSO.get(key, key)
        if name not in OPTIONS:
            raise InvalidInput(f"The option {key!r} is not one that a plan knows.", did_you_mean(key, OPTIONS))
        if name in found:
            raise InvalidInput(f"The option {name} is given twice, also as {key}.")
        if value is not None:
            found[name] = value
    return found


def launch(model: Model, options: Mapping[str, Any], drafts: bool = False, backends: Collection[str] = ()) -> Launch:
    """The launch that llama-server would make of these options; what is not given has the server's default.

    :param drafts: a draft model is launched too.
    :param backends: of the devices; flash attention is left out by itself where they have none for this model.
    :raises InvalidInput: an option is unknown, or its value is none of its values.
    """
    options = canonical(options)
    if options.get("split_mode", "layer") not in ("layer", "none"):
        raise InvalidInput(
            f"A plan knows the split modes layer and none, not {str(options['split_mode'])[:40]!r}.",
            "Tensors that are split over devices are sized by the build alone.",
        )
    numbers = {key: _number(key, options[key]) for key in _NUMBERS if key in options}
    flags = {key: _flag(key, options[key]) for key in _FLAGS if key in options}
    hp = model.hparams
    embeds = flags.get("embeddings", not hp.causal or bool(hp.number("pooling_type")))
    most = numbers.get("spec_draft_n_max", _DRAFT_MAX)
    spec = speculation.read(str(options.get("spec_type") or ""), most, drafts)
    if spec.mtp and not hp.nextn and not drafts:
        raise InvalidInput("spec_type is draft-mtp, but the model has no layers that draft (nextn).", "Give a draft.")
    wanted = max(numbers.get("parallel", -1), 0)
    if numbers.get("parallel") == 0:
        raise InvalidInput("parallel is 0; one sequence is the least.", "Leave it out for the server's choice.")
    parallel = wanted or _PARALLEL
    ubatch = numbers.get("ubatch_size", _UBATCH)
    batch = ubatch if embeds else numbers.get("batch_size", _BATCH)
    experts = len(hp.layers) if flags.get("cpu_moe") else numbers.get("n_cpu_moe", 0)
    return Launch(
        ctx_size=numbers.get("ctx_size", 0) or hp.context,
        parallel=parallel,
        kv_unified=flags.get("kv_unified", False) or not wanted,
        batch_size=batch,
        ubatch_size=ubatch,
        cache_type_k=str(options.get("cache_type_k") or "f16"),
        cache_type_v=str(options.get("cache_type_v") or "f16"),
        flash_attn=_flash(hp, options.get("flash_attn"), backends),
        kv_offload=flags.get("kv_offload", True),
        op_offload=flags.get("op_offload", True),
        swa_full=flags.get("swa_full", False),
        gpu_layers=numbers.get("gpu_layers", -1),
        tensor_split=_split(options.get("tensor_split")),
        n_cpu_moe=min(experts, len(hp.layers)),
        n_outputs_max=numbers.get("n_outputs_max", 0 if embeds else min(batch, parallel * (1 + spec.outputs))),
        embeddings=embeds,
        draft_max=spec.states,
        mtp=spec.mtp and not drafts,
    )


def _flash(hp: Hparams, given: Any, backends: Collection[str]) -> bool:
    if not hp.traits.flash or (given is not None and not _flag("flash_attn", given)):
        return False
    return _WORDS.get(str(given).lower(), False) or kernels.attends(hp) or not set(kernels.BACKENDS) & set(backends)


def _number(key: str, value: Any) -> int:
    """A whole number; -1 is "as the server chooses" where it can choose, or "without limit".

    :raises InvalidInput: it is none, negative otherwise, or larger than the server takes.
    """
    text = str(value).strip().lower()
    if key == "gpu_layers" and text in (*_AUTOMATIC, *_ALL):
        return -1
    lowest = -1 if key in _FROM_MINUS_ONE else 0
    if isinstance(value, bool) or not _WHOLE.fullmatch(text) or not lowest <= int(text) < _LARGEST:
        raise InvalidInput(f"{key} is {str(value)[:40]!r}; a whole number from {lowest} to {_LARGEST - 1} is needed.")
    return int(text)


def _flag(key: str, value: Any) -> bool:
    found = _WORDS.get(str(value).lower())
    if found is None and str(value).lower() != "auto":
        raise InvalidInput(f"{key} is {value!r}; on or off is needed.")
    return True if found is None else found


def _split(value: Any) -> tuple[int, ...]:
    parts = str(value).replace("/", ",").split(",") if isinstance(value, (str, int)) else list(value or ())
    return tuple(_number("tensor_split", str(part).strip()) for part in parts)


def wish(options: Mapping[str, Any], allow: Sequence[str], ctx_floor: int) -> Wish:
    """What may be changed.

    :raises InvalidInput: a rung is unknown.
    """
    for rung in allow:
        if rung not in choose.RUNGS:
            raise InvalidInput(f"{rung!r} is no rung of the ladder.", did_you_mean(rung, choose.RUNGS))
    given = canonical(options)
    fixed = {key for key in ("gpu_layers", "tensor_split", "n_cpu_moe") if given.get(key) is not None}
    if "gpu_layers" in fixed and _number("gpu_layers", given["gpu_layers"]) < 0:
        fixed.remove("gpu_layers")
    if "cpu_moe" in given:
        fixed.add("n_cpu_moe")
    count = 1 if given.get("split_mode") == "none" else len(_split(given.get("tensor_split")))
    return Wish(frozenset(allow), ctx_floor, frozenset(fixed), count)


def extras(options: Mapping[str, Any], mmproj: int, draft: Any) -> Extras:
    """What is launched besides the model: bytes of the projector's file, header of the draft."""
    options = canonical(options)
    ram = _number("cache_ram", options.get("cache_ram", _CACHE_RAM))
    return Extras(
        mmproj=mmproj,
        draft=draft,
        draft_types=(str(options.get("spec_draft_type_k") or "f16"), str(options.get("spec_draft_type_v") or "f16")),
        cache_ram=None if ram < 0 else ram * MIB,
        checkpoints=_number("ctx_checkpoints", options.get("ctx_checkpoints", _CHECKPOINTS)),
    )


def document(model: Model, choice: Choice, buys: str) -> dict[str, Any]:
    """The answer: `{schema, fits, confidence, plan: {devices, host, options, rung, reasons}, next_gib_buys}`."""
    return {
        "schema": SCHEMA,
        "fits": choice.fits,
        "confidence": choice.table.confidence,
        "architecture": model.hparams.architecture,
        "plan": {
            "devices": [row.document() for row in choice.table.rows],
            "host": choice.table.host_document(),
            "options": flags(choice),
            "rung": choice.rung,
            "reasons": [*choice.reasons, *choice.table.notes],
        },
        "next_gib_buys": buys,
    }


def flags(choice: Choice) -> dict[str, Any]:
    """Every option that decides about memory, as a number or a word that llama-server takes."""
    found = choice.launch
    return {
        "device": [device.id for device in choice.devices],
        "ctx_size": found.ctx_size,
        "parallel": found.parallel,
        "kv_unified": found.kv_unified,
        "batch_size": found.batch_size,
        "ubatch_size": found.ubatch_size,
        "cache_type_k": found.cache_type_k,
        "cache_type_v": found.cache_type_v,
        "flash_attn": "on" if found.flash_attn else "off",
        "gpu_layers": found.gpu_layers,
        "tensor_split": list(found.tensor_split),
        "split_mode": "layer" if len(choice.devices) > 1 else "none",
        "n_cpu_moe": found.n_cpu_moe,
        "n_outputs_max": found.n_outputs_max,
    }


def answer(model: Model, options: Mapping[str, Any], described: Sequence[Mapping[str, Any]], allow: Sequence[str],
           ctx_floor: int, mmproj: int = 0, draft: Any = None) -> dict[str, Any]:  # fmt: skip
    """The whole answer to a question.

    :raises InvalidInput: the question makes no sense, or llama.cpp would refuse the launch.
    :raises Untrusted: the header contradicts itself.
    """
    listed = devices(described)
    asked = launch(model, options, draft is not None, [device.backend for device in listed])
    may, more = wish(options, allow, ctx_floor), extras(options, mmproj, draft)
    found = choose.choose(model, asked, listed, may, more)
    buys = choose.next_gib(model, asked, listed, may, more, found) if found.devices else ""
    return document(model, found, buys)
