# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The weights: which tensor lies in which buffer, and the bytes of each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..gguf import Header, Tensor
from ..gguf.types import TENSOR_TYPES
from .hparams import Hparams
from .launch import Launch, padded
from .layers import HOST, Placement

_BLOCK = re.compile(r"blk\.(\d+)\.")
_EXPERTS = re.compile(r"\.ffn_(up|down|gate|gate_up)_(ch|)exps")
# Tensors read row by row stay on the host: LLM_TENSOR_LAYER_INPUT, src/llama-arch.cpp (llm_tensor_info_for)
_INPUT = ("token_embd.", "position_embd.", "token_types.", "per_layer_token_embd.")
# Tensors without a block number that belong to the first layer: created with block 0 in src/models/
_FIRST = ("token_embd_norm.", "per_layer_model_proj.", "per_layer_proj_norm.")
# Tensors that every device with layers has: TENSOR_DUPLICATED in src/models/
_EVERYWHERE = ("rope_freqs.", "rope_factors_long.", "rope_factors_short.")
_WITHOUT_OUTPUT = ("bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert", "neo-bert",
                   "eurobert")  # fmt: skip
# These call the norm of their output so: LLM_TENSOR_OUTPUT_NORM_LFM2, src/llama-arch.cpp
_NORM_OF_OUTPUT = ("lfm2", "lfm2moe")
# Alignment in a buffer and padding of quantised rows, by backend; a remote device answers for itself.
_ALIGNMENT = {"cpu": 32, "rpc": 32, "cuda": 128, "hip": 128, "vulkan": 256}
_ROW_PADDING = 512  # values; MATRIX_ROW_PADDING, ggml/src/ggml-cuda/common.cuh
_LAZY = 4 << 30  # bytes; llama_model_loader::lazy_read::add, src/llama-model-loader.cpp


@dataclass(frozen=True)
class Weights:
    """Bytes by device number; `HOST` is the host's share, `largest_host` its largest tensor, `lazy` stays on disk."""

    bytes: Mapping[int, int]
    largest_host: int
    lazy: int


@dataclass
class _Pile:
    """Tensors that always lie together: their bytes, and the largest of them."""

    bytes: int = 0
    largest: int = 0

    def add(self, size: int) -> None:
        self.bytes += size
        self.largest = max(self.largest, size)


# What decides about the place of a tensor: an attribute of Index, and the block where it has one.
Sorted = list["tuple[str, int, Tensor]"]


def sort(header: Header, hp: Hparams) -> Sorted:
    """Every tensor with its pile; the names are looked at once for all kinds of buffers."""
    found: Sorted = []
    has_output = any(tensor.name == "output.weight" for tensor in header.tensors)
    for tensor in header.tensors:
        if tensor.name.startswith("per_layer_token_embd.") and tensor.size > _LAZY:
            found.append(("lazy", 0, tensor))
            continue
        found.append((*_pile(tensor.name, hp), tensor))
        if tensor.name == "token_embd.weight" and not has_output and hp.architecture not in _WITHOUT_OUTPUT:
            found.append(("tied", 0, tensor))  # loaded again as the output: TENSOR_DUPLICATED
    return found


def _pile(name: str, hp: Hparams) -> tuple[str, int]:
    match = _BLOCK.match(name)
    if match:
        block = int(match.group(1))
        if block >= len(hp.layers):
            return "inputs", 0
        return ("experts" if "exps" in name and _EXPERTS.search(name) else "dense"), block
    if name.startswith(_EVERYWHERE):
        return "everywhere", 0
    if name.startswith(_FIRST) and not (name.startswith("token_embd_norm.") and hp.architecture in _NORM_OF_OUTPUT):
        return "dense", 0
    return ("inputs" if name.startswith(_INPUT) else "output"), 0


class Index:
    """The tensors of a header in piles, for one kind of buffer; made once, it serves many launches."""

    def __init__(self, tensors: Sorted, hp: Hparams, backend: str) -> None:
        self.dense = [_Pile() for _other in hp.layers]
        self.experts = [_Pile() for _other in hp.layers]
        self.inputs, self.output, self.tied, self.everywhere, self.lazy = (_Pile() for _other in range(5))
        single = {"inputs": self.inputs, "output": self.output, "tied": self.tied, "everywhere": self.everywhere,
                  "lazy": self.lazy}  # fmt: skip
        layered = {"dense": self.dense, "experts": self.experts}
        for name, block, tensor in tensors:
            pile = layered[name][block] if name in layered else single[name]
            pile.add(_size(tensor, backend))


def place(host: Index, indexes: Sequence[Index], hp: Hparams, launch: Launch, placement: Placement) -> Weights:
    """Sums of padded tensor sizes: llama_model_loader::create_tensor (src/llama-model-loader.cpp) chooses the buffer,
    ggml_backend_alloc_ctx_tensors_from_buft_impl (ggml/src/ggml-alloc.c) adds up.

    :param host: the tensors as the host holds them; :param indexes: as each device does.
    """
    sizes = dict.fromkeys(range(HOST, placement.devices), 0)
    kept = _Pile()
    last = len(hp.layers) if launch.own_draft else hp.trunk  # the layers of MTP are skipped: TENSOR_SKIP

    def of(device: int) -> Index:
        return host if device == HOST else indexes[device]

    def put(device: int, pile: _Pile) -> None:
        sizes[device] += pile.bytes
        if device == HOST and pile.bytes:
            kept.add(pile.largest)

    for block, device in enumerate(placement.layers[:last]):
        put(device, of(device).dense[block])
        chosen = HOST if block < launch.n_cpu_moe else device
        put(chosen, of(chosen).experts[block])
    for device in set(placement.layers):
        put(device, of(device).everywhere)
    put(placement.output, of(placement.output).output)
    if placement.output != HOST:
        put(placement.output, of(placement.output).tied)
    sizes[HOST] += host.inputs.bytes
    return Weights(sizes, kept.largest, host.lazy.bytes)


def _size(tensor: Tensor, backend: str) -> int:
    """Bytes in a buffer: ggml_backend_buft_get_alloc_size, padded to the alignment.

    CUDA and HIP pad the last row of quantised tensors: ggml_backend_cuda_buffer_type_get_alloc_size,
    ggml/src/ggml-cuda/ggml-cuda.cu.
    """
    size = tensor.size
    if backend in ("cuda", "hip"):
        kind, row = TENSOR_TYPES[tensor.type], tensor.dims[0] if tensor.dims else 1
        if kind.block > 1 and row % _ROW_PADDING:
            size += (_ROW_PADDING - row % _ROW_PADDING) // kind.block * kind.size
    return padded(size, _ALIGNMENT.get(backend, 128))
