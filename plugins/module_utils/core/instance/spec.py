# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speculative decoding of an instance: which kinds, which draft, and upstream's tuning by its own names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidInput
from ..names import check_keys
from . import values

OWN, OF_SET = "own", "set"  # the draft is the model's own MTP layers; the draft file of its model set
# the kinds that upstream has (its help: --spec-type), by what they draft with
NEEDS_FILE = ("draft-simple", "draft-eagle3", "draft-dflash", "draft-dspark")
MTP = "draft-mtp"
NGRAM = ("ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache")
KINDS = (*NEEDS_FILE, MTP, *NGRAM)

# field -> the flag, without its `--spec-draft-`
TUNING = {
    "n_max": "n-max",
    "n_min": "n-min",
    "p_min": "p-min",
    "p_split": "p-split",
    "gpu_layers": "ngl",
    "devices": "device",
    "cache_type_k": "type-k",
    "cache_type_v": "type-v",
    "override_tensor": "override-tensor",
    "cpu_moe": "cpu-moe",
    "n_cpu_moe": "n-cpu-moe",
    "threads": "threads",
    "threads_batch": "threads-batch",
    "cpu_mask": "cpu-mask",
    "cpu_mask_batch": "cpu-mask-batch",
    "cpu_range": "cpu-range",
    "cpu_strict": "cpu-strict",
    "cpu_strict_batch": "cpu-strict-batch",
    "prio": "prio",
    "prio_batch": "prio-batch",
    "poll": "poll",
    "poll_batch": "poll-batch",
    "backend_sampling": "backend-sampling",
}
_SWITCHES = ("cpu_moe", "backend_sampling")
_ZERO_OR_ONE = ("cpu_strict", "cpu_strict_batch", "poll", "poll_batch")
_NUMBERS = {
    "n_max": (0, 1024),
    "n_min": (0, 1024),
    "n_cpu_moe": (0, 10000),
    "threads": (1, 4096),
    "threads_batch": (1, 4096),
    "prio": (0, 3),
    "prio_batch": (0, 3),
}


@dataclass(frozen=True)
class Spec:
    """`draft` is `own`, `set`, a model set, a path, or empty where no draft is needed.

    :param tuning: flag without `--` -> value. :param strict: slower than without is a failure, not a warning.
    """

    types: tuple[str, ...]
    draft: str = ""
    tuning: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = False

    def flags(self, draft_path: str | None) -> dict[str, Any]:
        """Flag without dashes -> value, for the renderer of options."""
        return {
            "spec-type": list(self.types),
            **({"spec-draft-model": draft_path} if draft_path else {}),
            **self.tuning,
        }


def read(where: str, value: Any) -> Spec:
    """Check the dictionary `spec`.

    :raises InvalidInput: names the key; a draft is never guessed.
    """
    given = values.table(where, "spec", value)
    where = f"{where}: spec"
    check_keys(where, given, ("type", "draft", "strict", "ngram", *TUNING))
    if "type" not in given:
        raise InvalidInput(f"{where} needs a type.", f"Possible: {', '.join(KINDS)}.")
    types = tuple(values.choice(where, "type", item, KINDS) for item in values.listed(where, "type", given["type"]))
    draft = values.text(where, "draft", given.get("draft", ""))
    _check_draft(where, types, draft)
    tuning = {f"spec-draft-{TUNING[key]}": _tuned(where, key, given[key]) for key in TUNING if key in given}
    if "spec-draft-cpu-moe" in tuning and "spec-draft-n-cpu-moe" in tuning:
        raise InvalidInput(f"{where}: cpu_moe and n_cpu_moe exclude each other.")
    for key, item in values.table(where, "ngram", given.get("ngram", {})).items():
        number = values.number(where, f"ngram.{key}", item, 0, 1 << 20)
        tuning["spec-ngram-" + values.text(where, "ngram", key).replace("_", "-")] = number
    return Spec(types, draft, tuning, values.switch(where, "strict", given.get("strict", False)))


def _check_draft(where: str, types: tuple[str, ...], draft: str) -> None:
    remedy = f"Give draft: a model set, an absolute path, {OF_SET} (the draft of the model set)"
    if draft == OWN and MTP not in types:
        raise InvalidInput(f"{where}: draft: {OWN} is for the type {MTP}.", remedy + ".")
    if any(kind in NEEDS_FILE for kind in types) and draft in ("", OWN):
        raise InvalidInput(f"{where}: {', '.join(types)} needs a draft model, and none is guessed.", remedy + ".")
    if MTP in types and not draft:
        raise InvalidInput(
            f"{where}: {MTP} needs a draft source, and none is guessed.",
            f"{remedy} or {OWN} (the MTP layers of the model itself).",
        )
    if draft and all(kind in NGRAM for kind in types):
        raise InvalidInput(f"{where}: {', '.join(types)} use no draft model.", "Leave draft out.")


def _tuned(where: str, key: str, value: Any) -> Any:
    """One value; what else is wrong with it the build itself says."""
    if key in _SWITCHES:
        return values.switch(where, key, value)
    if key in _ZERO_OR_ONE:
        return values.number(where, key, int(value) if isinstance(value, bool) else value, 0, 1)
    if key in _NUMBERS:
        return values.number(where, key, value, *_NUMBERS[key])
    if key in ("p_min", "p_split"):
        return values.fraction(where, key, value)
    if key == "gpu_layers":
        return values.whole(where, key, value, 0, 10000, (values.AUTO, "all"))
    if key == "devices":
        return [values.text(where, key, item) for item in values.listed(where, key, value)]
    return values.text(where, key, value)
