# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a header does not say about an architecture: which layers slide, recur, or keep no cache.

Source: llama.cpp, src/models/<architecture>.cpp (load_arch_hparams), src/llama-arch.cpp (llm_arch_is_recurrent,
llm_arch_is_hybrid, llm_arch_supports_rs_rollback) and src/llama-model.cpp (create_memory).
"""

from __future__ import annotations

from dataclasses import dataclass

# How layers with an indexer are found: all, those an array names (or else all), those behind the leading dense ones
EVERY, TYPES, BEHIND_DENSE = "every", "types", "behind_dense"
# How recurrent layers are found
ALL, BOTH, NO_HEADS, NO_HEADS_NO_FF, INTERVAL = "all", "both", "no_heads", "no_heads_no_ff", "interval"


@dataclass(frozen=True)
class Traits:
    """Rules of one architecture.

    :param period: every `period`-th layer attends to everything, the rest within the window; 0: no layer does;
        None: only an array of the header says so, or no layer slides.
    :param dense_first: the first of a period is the one that attends to everything, not the last.
    :param needs_window: layers slide only where the header gives a window above 0.
    :param window: tokens; the window where the header gives none.
    :param fixed_window: the header's window is not looked at.
    :param recurrent: one of the rules above; "" where no layer recurs.
    :param cache: False where no keys and values are kept (encoders, diffusion).
    :param rollback: copies of the recurrent state can be kept for speculative decoding.
    :param kv_layers: only the first so many layers keep keys and values.
    :param shares: layers without a cache of their own read another layer's.
    :param flash: False where flash attention is switched off whatever is asked (llama_init_from_model).
    :param indexer: which layers also keep keys by which an indexer chooses what is attended to: one of the rules above.
    :param exotic: its cache has further parts, which are not modelled.
    """

    period: int | None = None
    dense_first: bool = False
    needs_window: bool = False
    window: int = 0
    fixed_window: bool = False
    recurrent: str = ""
    cache: bool = True
    rollback: bool = False
    kv_layers: int | None = None
    shares: bool = False
    flash: bool = True
    indexer: str = ""
    exotic: bool = False


PLAIN = Traits()
_ENCODER = Traits(cache=False)
_MAMBA = Traits(recurrent=ALL)
_HYBRID = Traits(recurrent=NO_HEADS)
_ROLLING = Traits(recurrent=NO_HEADS, rollback=True)
_QWEN = Traits(recurrent=INTERVAL, rollback=True)
_EXOTIC = Traits(exotic=True)

TRAITS: dict[str, Traits] = {
    "afmoe": Traits(period=4, needs_window=True),
    "cohere2": Traits(period=4),
    "cohere2moe": Traits(period=4, dense_first=True),
    "exaone-moe": Traits(period=4, window=128),
    "gemma2": Traits(period=2, window=4096),
    "gemma3": Traits(period=6, needs_window=True),
    "gemma3n": Traits(period=5, kv_layers=20, shares=True),
    "gemma4": Traits(shares=True),
    "gpt-oss": Traits(period=2),
    "laguna": Traits(period=4, dense_first=True, needs_window=True),
    "llama4": Traits(period=4, window=8192, fixed_window=True),
    "mellum": Traits(period=4, needs_window=True),
    "muse-glimmer": Traits(period=4),
    "olmo2": Traits(period=4, needs_window=True),
    "plamo3": Traits(period=8, needs_window=True),
    "smallthinker": Traits(period=4, dense_first=True, needs_window=True, window=4096, fixed_window=True),
    "gemma-embedding": Traits(period=6, cache=False),
    "modern-bert": Traits(period=3, dense_first=True, needs_window=True, cache=False),
    **dict.fromkeys(
        ("bert", "jina-bert-v2", "jina-bert-v3", "nomic-bert", "nomic-bert-moe", "neo-bert", "eurobert"), _ENCODER
    ),
    **dict.fromkeys(("dream", "llada", "llada-moe", "rnd1", "wavtokenizer-dec"), _ENCODER),
    **dict.fromkeys(("mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"), _MAMBA),
    **dict.fromkeys(("jamba", "plamo2", "granitehybrid", "kimi-linear"), _HYBRID),
    **dict.fromkeys(("lfm2", "lfm2moe", "bailingmoe3", "kimi-k3"), _ROLLING),
    **dict.fromkeys(("nemotron_h", "nemotron_h_moe"), Traits(recurrent=NO_HEADS_NO_FF, rollback=True)),
    **dict.fromkeys(("qwen35", "qwen35moe"), _QWEN),
    **dict.fromkeys(("qwen3next", "minimax-01"), Traits(recurrent=INTERVAL)),
    "grok": Traits(flash=False),
    "falcon-h1": Traits(recurrent=BOTH),
    **dict.fromkeys(
        ("qwen4exp", "dflash"),
        _EXOTIC,
    ),
    "deepseek4": Traits(period=0, rollback=True),
    "deepseek32": Traits(indexer=EVERY),
    "glm-dsa": Traits(indexer=TYPES),
    "hy-v4": Traits(indexer=TYPES),
    "dots3note": Traits(indexer=TYPES),
    "minimax-m3": Traits(indexer=BEHIND_DENSE),
    "glm5-next": Traits(recurrent=NO_HEADS, rollback=True, indexer=TYPES),
    **dict.fromkeys(("eagle3", "gemma4-assistant", "hrm-text", "nanbeige", "granite-switch", "t5"), _EXOTIC),
}

# Architectures whose layers slide as an array of their header says.
BY_ARRAY = ("gemma4", "dots3note", "mimo2", "step35", "granite-swa", "maple", "spark2-5")
# The same, but all layers that are not recurrent slide, when there is a window.
SLIDING_IF_WINDOW = ("lfm2",)


def traits(architecture: str) -> Traits:
    """The rules of an architecture; those of a plain transformer when it has none of its own."""
    return TRAITS.get(architecture, PLAIN)
