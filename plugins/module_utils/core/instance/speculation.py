# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does speculative decoding help? How many drafted tokens are accepted, and how fast that is against no drafts.

A request cannot switch drafting off. But llama-server drafts at most what is left to generate minus one
(tools/server/server-context.cpp, get_n_draft_max), so the second token of a request for two comes without a draft:
the time that takes is the speed without speculation, of this very server.
"""

from __future__ import annotations

from typing import Any

from . import probe
from .definition import Instance

PROMPT = (
    "The harbour lies at the mouth of the river. Every morning the boats leave the harbour, and every evening they "
    "come back to it. Write what the harbour looks like in the morning, and then in the evening.\n"
)
TOKENS = 64
_SHORT, _ROUNDS = 2, 5


def measure(instance: Instance, key: str | None, timeout: float) -> dict[str, Any]:
    """What drafts bring: `{drafted, accepted, rate, ms_per_token, ms_without, warning}`.

    Times are milliseconds a token, None where the model ended too early to tell; `warning` is empty when all is well.

    :raises probe.ProbeError: it is slower than without, and the definition is strict.
    """
    first = _complete(instance, key, TOKENS, timeout)  # also warms the cache of the prompt
    timings = _complete(instance, key, TOKENS, timeout)
    short = [_per_token(_complete(instance, key, _SHORT, timeout)) for _round in range(_ROUNDS)]
    without = sorted(time for time in short if time is not None)
    drafted = int(timings.get("draft_n") or 0) + int(first.get("draft_n") or 0)
    accepted = int(timings.get("draft_n_accepted") or 0) + int(first.get("draft_n_accepted") or 0)
    found = {
        "drafted": drafted,
        "accepted": accepted,
        "rate": round(accepted / drafted, 3) if drafted else 0.0,
        "ms_per_token": _per_token(timings),
        "ms_without": without[len(without) // 2] if without else None,
    }
    warning = judge(found)
    if warning and drafted and instance.spec and instance.spec.strict:
        raise probe.ProbeError(f"{warning}, and spec is strict")
    return {**found, "warning": f"Instance {instance.name!r}: {warning}." if warning else ""}


def judge(found: dict[str, Any]) -> str:
    """What is wrong with speculation, empty when it helps or nobody can tell."""
    with_drafts, without = found["ms_per_token"], found["ms_without"]
    counts = f"{found['accepted']} of {found['drafted']} drafted tokens were accepted"
    if not found["drafted"]:
        return "nothing was drafted for a short text, so speculation did not show what it brings"
    if with_drafts is None or without is None:
        return "" if found["accepted"] else f"speculation does not help: {counts}"
    if with_drafts > without:
        return f"speculation is slower than none: {with_drafts:.2f} against {without:.2f} ms a token; {counts}"
    return ""


def _complete(instance: Instance, key: str | None, tokens: int, timeout: float) -> dict[str, Any]:
    body = {"prompt": PROMPT, "n_predict": tokens, "temperature": 0.0, "cache_prompt": True}
    status, answer = probe.request(instance.url, "/completion", body, key, timeout)
    timings = answer.get("timings") if status == 200 and isinstance(answer, dict) else None
    if not isinstance(timings, dict):
        raise probe.ProbeError(f"{instance.url}/completion answered {status} without timings", status)
    return timings


def _per_token(timings: dict[str, Any]) -> float | None:
    """Milliseconds a token after the first one, which comes with the prompt."""
    count, spent = timings.get("predicted_n"), timings.get("predicted_ms")
    if not isinstance(count, int) or count < _SHORT or not isinstance(spent, (int, float)):
        return None
    return round(spent / (count - 1), 4)
