# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a reranker rank right? A server with a model that was made for something else starts, and scores noise."""

from __future__ import annotations

from typing import Any

from . import probe

# question, text that answers it, text that does not: no doubt for any model that can rank
PAIRS = (
    ("What is the capital of France?", "Paris is the capital of France.", "Bread is baked in an oven."),
    ("How do plants get energy?", "Plants turn sunlight into energy.", "The train leaves at nine."),
    ("Who wrote Hamlet?", "Shakespeare wrote the play Hamlet.", "Water boils at one hundred degrees."),
    ("What do cows eat?", "Cows eat grass and hay.", "The stock market fell on Monday."),
)


def prove(
    url: str, key: str | None = None, timeout: float = 60.0, model: str | None = None, insist: bool = True
) -> dict[str, Any]:
    """Have a server score pairs whose order is known; returns `{scores, ranks}`, the scores of the first pair.

    :param insist: a wrong order is an error; else it is only told.
    :raises probe.ProbeError: it refused, its answer has another shape, or it ranks wrong.
    """
    wrong: list[str] = []
    shown: list[float] = []
    for number, (query, good, bad) in enumerate(PAIRS):
        documents = [good, bad] if number % 2 else [bad, good]  # no model passes by the place of a text
        found = probe.scores(url, query, documents, key, timeout, model)
        right, other = found if number % 2 else found[::-1]
        shown = shown or [right, other]
        wrong += [] if right > other else [f"{good!r} gets {right:.4g} and {bad!r} {other:.4g}"]
    if wrong and insist:
        raise probe.ProbeError(f"it ranks wrong: {'; '.join(wrong)}. A model that cannot rank needs proof: answers")
    return {"scores": shown, "ranks": not wrong}
