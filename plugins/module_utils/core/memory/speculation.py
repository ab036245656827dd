# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speculative decoding as far as it takes memory: how many tokens are drafted, and by what.

Follows common_params_speculative (common/common.h), common_speculative_n_max and common_speculative_get_output_limits
(common/speculative.cpp).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidInput
from ..names import did_you_mean

MTP, SIMPLE = "draft-mtp", "draft-simple"
_OTHERS = ("draft-eagle3", "draft-dflash", "draft-dspark")
# tokens that a text's own repetitions may draft: the defaults of common/common.h
_REPEATING = {"ngram-simple": 48, "ngram-map-k": 48, "ngram-map-k4v": 48, "ngram-mod": 64, "ngram-cache": 8}
KINDS = ("none", SIMPLE, MTP, *_OTHERS, *_REPEATING)
_SHORT = {"mtp": MTP, "eagle3": "draft-eagle3", "dflash": "draft-dflash", "dspark": "draft-dspark"}


@dataclass(frozen=True)
class Speculation:
    """What a launch drafts.

    :param outputs: tokens of one sequence that are checked at once, besides its own.
    :param states: steps that recurrent states must be able to go back.
    :param mtp: the model drafts by layers of its own.
    """

    outputs: int = 0
    states: int = 0
    mtp: bool = False


def read(kinds: str, most: int, drafts: bool) -> Speculation:
    """From `--spec-type` (words with commas) and `--spec-draft-n-max`.

    :param drafts: a draft model is given.
    :raises InvalidInput: a word is unknown.
    """
    found = {_SHORT.get(word, word) for word in (part.strip().lower() for part in kinds.split(",")) if word}
    for word in sorted(found):
        if word not in KINDS:
            raise InvalidInput(f"spec_type {word[:40]!r} is not known.", did_you_mean(word, KINDS))
    if drafts and not found - {"none"}:
        found = {SIMPLE}
    steps = most if found & {MTP, *_OTHERS} else 0
    drafted = [_REPEATING.get(word, most) for word in found if word != "none"]
    return Speculation(max(drafted, default=0), steps, MTP in found)
