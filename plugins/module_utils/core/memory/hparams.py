# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hyperparameters of a model as llama.cpp resolves them, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import Untrusted
from ..gguf import Header
from ..gguf.reader import Value
from . import architectures
from .architectures import Traits

_LARGEST = 1 << 24  # of any width; what is larger makes a computation run wild
_MAX_LAYERS = 4096


@dataclass(frozen=True)
class Layer:
    """One block.

    :param heads: query heads.
    :param kv_heads: heads of keys and values; 0 where the layer keeps none.
    :param key: width of one head's key.
    :param value: width of one head's value.
    :param ff: width of the dense feed forward.
    :param sliding: it attends within the window only.
    :param recurrent: it keeps a recurrent state.
    :param caches: it keeps keys and values of its own (some reuse another layer's).
    :param index_key: width of the key that its indexer keeps; 0 without; :param index_value: of the value beside it.
    """

    heads: int
    kv_heads: int
    key: int
    value: int
    ff: int
    sliding: bool
    recurrent: bool
    caches: bool
    index_key: int = 0
    index_value: int = 0

    @property
    def k_width(self) -> int:
        """llama_hparams::n_embd_k_gqa, values."""
        return self.key * self.kv_heads

    @property
    def v_width(self) -> int:
        """llama_hparams::n_embd_v_gqa, values."""
        return self.value * self.kv_heads


@dataclass(frozen=True)
class Hparams:
    """A model, after src/llama-model.cpp (llama_model_base::load_hparams). Widths count values, not bytes."""

    architecture: str
    layers: tuple[Layer, ...]
    nextn: int  # layers at the end that predict further tokens (MTP); counted in `layers`
    width: int
    vocabulary: int
    context: int
    window: int
    causal: bool
    compressed: bool  # multi-head latent attention: keys and values are one compressed row
    experts: int
    experts_used: int
    expert_ff: int
    shared_ff: int
    r_width: int  # recurrent state, convolution part (llama_hparams::n_embd_r)
    s_width: int  # recurrent state (llama_hparams::n_embd_s)
    inner: int
    traits: Traits
    metadata: _Reader

    @property
    def trunk(self) -> int:
        """llama_hparams::n_layer: layers without those of MTP."""
        return len(self.layers) - self.nextn

    @property
    def slides(self) -> bool:
        return any(layer.sliding for layer in self.layers)

    def number(self, key: str, default: int = 0) -> int:
        """A further number of the header, by its key behind the architecture's name."""
        return self.metadata.number(key, default)


class _Reader:
    """The metadata of one architecture, clamped."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._prefix = self.architecture = header.architecture

    def raw(self, key: str) -> Value | None:
        return self._header.metadata.get(f"{self._prefix}.{key}")

    def number(self, key: str, default: int = 0) -> int:
        """A whole number from 0 to 2^24, or the default.

        :raises Untrusted: it is out of that range.
        """
        value = self._header.number(f"{self._prefix}.{key}")
        if value is None:
            return default
        if not 0 <= value <= _LARGEST:
            raise Untrusted(f"Its {key} is {value}; a number from 0 to {_LARGEST} is needed.")
        return value

    def per_layer(self, key: str, count: int, default: int = 0) -> list[int]:
        """A number for every layer: an array of the header, or one number for all."""
        value = self.raw(key)
        if not isinstance(value, tuple):
            return [self.number(key, default)] * count
        if len(value) < count:
            raise Untrusted(f"Its {key} has {len(value)} entries; its {count} layers need one each.")
        numbers = [int(item) if isinstance(item, (bool, int)) else -1 for item in value[:count]]
        if not all(0 <= number <= _LARGEST for number in numbers):
            raise Untrusted(f"Its {key} holds something else than numbers from 0 to {_LARGEST}.")
        return numbers


def read(header: Header) -> Hparams:
    """The hyperparameters of a header. Follows load_hparams and load_arch_hparams of src/llama-model.cpp, src/models/.

    :raises Untrusted: a number is missing, or out of range.
    """
    meta = _Reader(header)
    arch, rules = header.architecture, architectures.traits(header.architecture)
    count = meta.number("block_count")
    if not 0 < count <= _MAX_LAYERS:
        raise Untrusted(f"Its block_count is {count}; a number from 1 to {_MAX_LAYERS} is needed.")
    nextn = min(meta.number("nextn_predict_layers"), count)
    heads = meta.per_layer("attention.head_count", count)
    ffs = meta.per_layer("feed_forward_length", count)
    width = meta.number("embedding_length")
    kv_heads = (
        meta.per_layer("attention.head_count_kv", count) if meta.raw("attention.head_count_kv") is not None else heads
    )
    window, sliding = _windows(arch, rules, meta, count, nextn)
    recurrent = _recurrent(rules, meta, kv_heads, ffs, nextn)
    if arch in architectures.SLIDING_IF_WINDOW and window:
        sliding = [not state for state in recurrent]
    shared = meta.number("attention.shared_kv_layers") if arch == "gemma4" else 0
    own = rules.kv_layers if rules.kv_layers is not None else count - shared
    head = width // heads[0] if heads[0] else 0
    key = meta.number("attention.key_length", head) if heads[0] else 0
    value = meta.number("attention.value_length", head) if heads[0] else 0
    keys = (key, meta.number("attention.key_length_swa", key))
    values = (value, meta.number("attention.value_length_swa", value))
    compressed = bool(meta.number("attention.key_length_mla") and meta.number("attention.value_length_mla"))
    indexed = _indexed(rules, meta, count, nextn, recurrent)
    # one key of 3 parts where the keys are pooled: src/llama-memory-hybrid-idx.cpp
    width_of_index = meta.number("attention.indexer.key_length") * (3 if meta.number("attention.indexer.kpool") else 1)
    layers = tuple(
        Layer(
            heads=heads[index],
            kv_heads=kv_heads[index],
            key=keys[sliding[index]],
            value=values[sliding[index]],
            ff=ffs[index],
            sliding=sliding[index],
            recurrent=recurrent[index],
            caches=_caches(rules, index, own, recurrent[index], ffs[index]),
            index_key=width_of_index * indexed[index],
            index_value=0 if compressed else value * indexed[index],
        )
        for index in range(count)
    )
    r_width, s_width = _state(meta, width, heads[0])
    causal = meta.raw("attention.causal") is not False and arch != "gemma-embedding"
    return Hparams(
        architecture=arch,
        layers=layers,
        nextn=nextn,
        width=width,
        vocabulary=_vocabulary(header, meta),
        context=meta.number("context_length"),
        window=window,
        causal=causal,
        compressed=compressed,
        experts=meta.number("expert_count"),
        experts_used=max(meta.per_layer("expert_used_count", count)),
        expert_ff=max(meta.per_layer("expert_feed_forward_length", count)),
        shared_ff=meta.number("expert_shared_feed_forward_length"),
        r_width=r_width,
        s_width=s_width,
        inner=meta.number("ssm.inner_size"),
        traits=rules,
        metadata=meta,
    )


def _windows(arch: str, rules: Traits, meta: _Reader, count: int, nextn: int) -> tuple[int, list[bool]]:
    """The window in tokens, and which layers slide: load_swa_pattern (src/llama-model.cpp), set_swa_pattern."""
    window = meta.number("attention.sliding_window", rules.window)
    pattern = meta.raw("attention.sliding_window_pattern")
    period = rules.period
    if arch == "exaone4":
        period, window = (4, window or 4096) if count - nextn == 64 else (None, window)
    if arch == "phi3" or (rules.needs_window and not window):
        return 0, [False] * count
    if arch == "llama4" and meta.raw("attention.sliding_window") == 0:
        return 0, [False] * count
    if rules.fixed_window:
        window = rules.window
    if isinstance(pattern, tuple) and (period is not None or arch in architectures.BY_ARRAY):
        return window, [bool(item) for item in meta.per_layer("attention.sliding_window_pattern", count)]
    if period is None:
        return window if arch in architectures.SLIDING_IF_WINDOW else 0, [False] * count
    return window, _periodic(meta.number("attention.sliding_window_pattern", period), rules.dense_first, count, nextn)


def _periodic(period: int, dense_first: bool, count: int, nextn: int) -> list[bool]:
    trunk = count - nextn
    if period == 0:
        return [index < trunk for index in range(count)]
    dense = 0 if dense_first else period - 1
    return [index < trunk and index % period != dense for index in range(count)]


def _recurrent(rules: Traits, meta: _Reader, kv_heads: Sequence[int], ffs: Sequence[int], nextn: int) -> list[bool]:
    count = len(kv_heads)
    trunk = count - nextn
    if rules.recurrent in (architectures.ALL, architectures.BOTH):
        return [True] * count
    if rules.recurrent == architectures.NO_HEADS:
        return [index < trunk and kv_heads[index] == 0 for index in range(count)]
    if rules.recurrent == architectures.NO_HEADS_NO_FF:
        return [index < trunk and kv_heads[index] == 0 and ffs[index] == 0 for index in range(count)]
    if rules.recurrent == architectures.INTERVAL:
        if isinstance(meta.raw("attention.recurrent_layers"), tuple):
            return [bool(item) for item in meta.per_layer("attention.recurrent_layers", count)]
        interval = max(meta.number("full_attention_interval", 4), 1)
        return [index < trunk and (index + 1) % interval != 0 for index in range(count)]
    return [False] * count


def _indexed(rules: Traits, meta: _Reader, count: int, nextn: int, recurrent: Sequence[bool]) -> list[bool]:
    """Which layers keep the keys of an indexer: the filters of llama_model::create_memory, src/llama-model.cpp."""
    trunk = count - nextn
    if not rules.indexer or not meta.number("attention.indexer.top_k"):
        return [False] * count
    if rules.indexer == architectures.BEHIND_DENSE:
        return [index >= meta.number("leading_dense_block_count") for index in range(count)]
    full = [True] * trunk
    if rules.indexer == architectures.TYPES:
        # GLM 5.2 and later name no types: every fourth layer from the third, src/models/glm-dsa.cpp
        later = meta.architecture == "glm-dsa" and meta.number("context_length") >= 1 << 20
        full = [index < 2 or index % 4 == 2 for index in range(trunk)] if later else full
        if meta.raw("attention.indexer.types") is not None:
            full = [bool(item) for item in meta.per_layer("attention.indexer.types", trunk)]
    return [index < trunk and full[index] and not recurrent[index] for index in range(count)]


def _caches(rules: Traits, index: int, own: int, recurrent: bool, ff: int) -> bool:
    """Whether a layer keeps keys and values: llama_model::create_memory, src/llama-model.cpp (filters, has_kv).

    A layer without heads does, of no width: without flash attention its values are padded to the widest layer's.
    """
    if not rules.cache or index >= own:
        return False
    if rules.recurrent == architectures.BOTH:
        return True
    if rules.recurrent == architectures.NO_HEADS_NO_FF:
        return not recurrent and ff == 0
    return not recurrent


def _state(meta: _Reader, width: int, heads: int) -> tuple[int, int]:
    """llama_hparams::n_embd_r and n_embd_s, src/llama-hparams.cpp: values for one sequence and layer."""
    conv, inner = meta.number("ssm.conv_kernel"), meta.number("ssm.inner_size")
    state, groups = meta.number("ssm.state_size"), meta.number("ssm.group_count")
    wkv, kda, short = meta.number("wkv.head_size"), meta.number("kda.head_dim"), meta.number("shortconv.l_cache")
    if wkv:
        return meta.number("token_shift_count", 2) * width, width * wkv
    if short:
        return width * (short - 1), state * inner
    if kda:
        return 3 * (conv - 1 if conv else 3) * heads * kda, kda * kda * heads
    if meta.raw("full_attention_interval") is not None and not inner:
        return 0, meta.number("attention.key_length") ** 2 * heads
    return (conv - 1 if conv else 0) * (inner + 2 * groups * state), state * inner


def _vocabulary(header: Header, meta: _Reader) -> int:
    """Columns of the output, or else of the token embedding."""
    found = {
        tensor.name: tensor.dims for tensor in header.tensors if tensor.name in ("output.weight", "token_embd.weight")
    }
    dims = found.get("output.weight") or found.get("token_embd.weight") or ()
    return dims[1] if len(dims) > 1 else meta.number("vocab_size")
