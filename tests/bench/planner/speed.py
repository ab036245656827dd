# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""speed.py [RUNS]: milliseconds for the plan of one model with the reading of its header, the best and the median.

The files are sparse, with the tensors of a published model, once without a vocabulary and once with one of 150,000
tokens and as many merges. `ratio` is to the same machine's time for a fixed piece of Python, so that machines compare.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "unit" / "core" / "memory")]

import recorded  # noqa: E402
import sparse  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import answer, shards  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.plan import Model  # noqa: E402

GIB = 1 << 30
CARDS = [{"id": f"GPU-{number}", "backend": "cuda", "total": 24 * GIB} for number in range(4)]
TOKENS = 150_000
CASES = (
    ("llama3.1-8b", 1, (), False),
    ("qwen3-30b-a3b", 1, (), False),
    ("qwen3-30b-a3b", 1, ("n_cpu_moe",), False),
    ("llama3.3-70b", 4, (), False),
    ("qwen3.6-27b-mtp", 2, ("cache_type", "ctx_size"), False),
    ("qwen3.6-27b-mtp", 2, ("cache_type", "ctx_size"), True),
)


def fixed() -> None:
    """About as much work on this machine as anywhere."""
    total = 0
    for number in range(200_000):
        total += number * number % 7


def timed(what: Callable[[], object], runs: int) -> tuple[float, float]:
    """Milliseconds: the best and the median."""
    found = []
    for _run in range(runs):
        start = time.perf_counter()
        what()
        found.append(1000 * (time.perf_counter() - start))
    return min(found), statistics.median(found)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    unit = timed(fixed, runs)[0]
    print(f"the fixed piece of Python takes {unit:.1f} ms\n")
    print(f"{'model':<20}{'tensors':>8}{'GPUs':>5}{'tokens':>8}{'best ms':>9}{'median':>8}{'header':>8}{'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for name, cards, allow, words in CASES:
            path = os.path.join(folder, "model.gguf")
            found = recorded.models()[name]
            metadata = dict(found["metadata"])
            if words:
                tokens = [f"token{number}" for number in range(TOKENS)]
                metadata |= {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": tokens}
                metadata["tokenizer.ggml.token_type"] = [1] * TOKENS
            tensors = recorded.unpack(found["tensors"])
            sparse.write(path, metadata, tensors)

            def plan(path: str = path, cards: int = cards, allow: tuple[str, ...] = allow) -> object:
                asked = {"ctx_size": 32768, "parallel": 4}
                return answer.answer(Model(shards.read(path)), asked, CARDS[:cards], allow, 4096)

            best, median = timed(plan, runs)
            header = timed(lambda path=path: shards.read(path), runs)[0]
            print(
                f"{name:<20}{len(tensors):>8}{cards:>5}{TOKENS if words else '-':>8}{best:>9.1f}{median:>8.1f}"
                f"{header:>8.1f}{best / unit:>7.2f}"
            )


if __name__ == "__main__":
    main()
