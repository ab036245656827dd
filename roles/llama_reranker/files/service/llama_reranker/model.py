# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models of the Transformers library: what a folder holds, how a text becomes tokens, and what comes out.

Only safetensors are read and no code of a model is run.
"""

from __future__ import annotations

import abc
import json
import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from transformers.utils import logging

from .batching import Item

WEB_SEARCH = "Given a web search query, retrieve relevant passages that answer the query"
_UNLIMITED = 1 << 20  # tokenizers without a limit of their own say 1e30


class LoadError(Exception):
    """The folder holds no model that can be served; the text says why and what is needed."""


class NotThere(LoadError):
    """A device or a folder is missing; it may come, so another start may help."""


class BadInput(Exception):
    """An input that the model cannot take."""


class Model(abc.ABC):
    """One loaded model. `task` is `rerank` or `embedding`; `run` computes one result for each item."""

    task = "rerank"

    def __init__(self, folder: Path, network: Any, device: torch.device, max_length: int | None) -> None:
        self.network, self.device = network, device
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError) as exc:
            raise LoadError(f"{folder} holds no tokenizer that can be read: {_first_line(exc)}") from exc
        self.max_length = _max_length(self.tokenizer, network.config, max_length)
        self.pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0
        self.truncated = 0
        self._lock = threading.Lock()  # a fast tokenizer keeps its settings between calls

    @abc.abstractmethod
    def encode(self, query: str, texts: Sequence[str], instruction: str | None = None) -> list[Item]:
        """The items of a request; texts that are too long are cut, and counted in `truncated`."""

    @abc.abstractmethod
    def run(self, items: Sequence[Item]) -> list[Any]:
        """Results of one batch, in order."""

    def placed(self) -> dict[str, int]:
        """Bytes of weights and buffers by device, `CPU` or `CUDA0`; tied ones count once."""
        found: dict[str, int] = {}
        for tensor in (*self.network.parameters(), *self.network.buffers()):
            device = tensor.device
            name = "CPU" if device.type == "cpu" else f"{device.type.upper()}{device.index or 0}"
            found[name] = found.get(name, 0) + tensor.numel() * tensor.element_size()
        return found

    def tokenize(self, *texts: Any, length: int, **more: Any) -> Any:
        with self._lock:
            found = self.tokenizer(
                *texts, truncation=True, max_length=length, return_attention_mask=False, verbose=False, **more
            )
            self.truncated += sum(1 for tokens in found["input_ids"] if len(tokens) >= length)
        return found

    def padded(self, items: Sequence[Item], left: bool = False) -> dict[str, torch.Tensor]:
        """Tensors of shape (items, longest): token numbers, mask, and segment numbers where the model has them."""
        longest = max(len(item.tokens) for item in items)

        def rows(values: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
            full = []
            for row in values:
                rest = [fill] * (longest - len(row))
                full.append([*rest, *row] if left else [*row, *rest])
            return torch.tensor(full, dtype=torch.long, device=self.device)

        tensors = {
            "input_ids": rows([item.tokens for item in items], self.pad),
            "attention_mask": rows([[1] * len(item.tokens) for item in items], 0),
        }
        types = [item.types for item in items if item.types is not None]
        if len(types) == len(items):
            tensors["token_type_ids"] = rows(types, 0)
        return tensors


class CrossEncoder(Model):
    """A sequence classifier with one label that reads query and document together."""

    def __init__(self, *args: Any, scores: str = "raw") -> None:
        super().__init__(*args)
        self.sigmoid = scores == "sigmoid"

    def encode(self, query: str, texts: Sequence[str], instruction: str | None = None) -> list[Item]:
        found = self.tokenize([query] * len(texts), list(texts), length=self.max_length)
        types = found.get("token_type_ids") or [None] * len(texts)
        return [Item(tokens, kinds) for tokens, kinds in zip(found["input_ids"], types, strict=True)]

    @torch.inference_mode()
    def run(self, items: Sequence[Item]) -> list[float]:
        logits = self.network(**self.padded(items)).logits[:, 0].float()
        return list((logits.sigmoid() if self.sigmoid else logits).tolist())


class YesNo(Model):
    """A causal model that is asked whether a document answers a query: the probability of yes against no.

    The prompt is the one that Qwen3-Reranker was trained with (its model card).
    """

    HEAD = (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    )
    TAIL = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.answers = [self._one_token(word) for word in ("no", "yes")]
        self.head = self.tokenizer(self.HEAD, add_special_tokens=False)["input_ids"]
        self.tail = self.tokenizer(self.TAIL, add_special_tokens=False)["input_ids"]

    def _one_token(self, word: str) -> int:
        tokens = self.tokenizer(word, add_special_tokens=False)["input_ids"]
        if len(tokens) != 1:
            raise LoadError(f"The tokenizer has no single token for {word!r}, so this is no yes-or-no reranker.")
        return int(tokens[0])

    def encode(self, query: str, texts: Sequence[str], instruction: str | None = None) -> list[Item]:
        room = self.max_length - len(self.head) - len(self.tail)
        asked = f"<Instruct>: {instruction or WEB_SEARCH}\n<Query>: {query}\n<Document>: "
        found = self.tokenize([asked + text for text in texts], length=room, add_special_tokens=False)
        return [Item([*self.head, *tokens, *self.tail]) for tokens in found["input_ids"]]

    @torch.inference_mode()
    def run(self, items: Sequence[Item]) -> list[float]:
        # padded on the left: then the last position is the answer's, and only its logits are computed
        logits = self.network(**self.padded(items, left=True), logits_to_keep=1, use_cache=False).logits[:, -1]
        return list(logits[:, self.answers].float().softmax(dim=-1)[:, 1].tolist())


class Embedder(Model):
    """An encoder whose token vectors are pooled to one of length 1, as its Sentence Transformers settings say."""

    task = "embedding"

    def __init__(self, folder: Path, *args: Any) -> None:
        super().__init__(folder, *args)
        self.pooling = _pooling(folder, self.network.config)

    def encode(self, query: str, texts: Sequence[str], instruction: str | None = None) -> list[Item]:
        return [Item(tokens) for tokens in self.tokenize(list(texts), length=self.max_length)["input_ids"]]

    @torch.inference_mode()
    def run(self, items: Sequence[Item]) -> list[list[float]]:
        tensors = self.padded(items)
        states = self.network(**tensors).last_hidden_state.float()
        mask = tensors["attention_mask"].unsqueeze(-1)
        if self.pooling == "cls":
            pooled = states[:, 0]
        elif self.pooling == "last":
            last = tensors["attention_mask"].sum(dim=1) - 1
            pooled = states[torch.arange(len(items), device=self.device), last]
        else:
            pooled = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        return list(torch.nn.functional.normalize(pooled, dim=-1).tolist())


def load(
    folder: str,
    task: str = "auto",
    device: str = "auto",
    dtype: str = "auto",
    max_length: int | None = None,
    threads: int | None = None,
    scores: str = "raw",
) -> Model:
    """Load the model of a folder.

    :raises LoadError: it is not there, is of another kind, or needs code of its own.
    """
    logging.disable_progress_bar()
    path = Path(folder)
    if not (path / "config.json").is_file():
        raise NotThere(f"{folder} holds no config.json; a folder as huggingface.co has it is needed.")
    if threads:
        torch.set_num_threads(threads)
    known: Any = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(path, **known)
    except (OSError, ValueError) as exc:
        raise LoadError(f"{folder} is of a kind that Transformers does not know: {_first_line(exc)}") from exc
    where = _device(device)
    kind, loader = _kind(config, task)
    numbers: Any = dtype if dtype != "auto" else ("auto" if where.type != "cpu" else "float32")
    try:
        network = loader.from_pretrained(path, config=config, dtype=numbers, use_safetensors=True, **known)
    except (OSError, ValueError) as exc:
        raise LoadError(f"{folder} cannot be loaded (only safetensors are read): {_first_line(exc)}") from exc
    network = network.to(where).eval()
    if kind is CrossEncoder:
        return CrossEncoder(path, network, where, max_length, scores=scores)
    return kind(path, network, where, max_length)


def _kind(config: Any, task: str) -> tuple[type[Model], Any]:
    name = (getattr(config, "architectures", None) or ["?"])[0]
    if task != "embedding" and name.endswith("ForSequenceClassification"):
        if config.num_labels != 1:
            raise LoadError(f"The model sorts into {config.num_labels} classes; a reranker has one label.")
        return CrossEncoder, AutoModelForSequenceClassification
    if task != "embedding" and name.endswith("ForCausalLM"):
        return YesNo, AutoModelForCausalLM
    if task == "rerank":
        raise LoadError(f"{name} is no reranker; a sequence classifier or a yes-or-no causal model is needed.")
    return Embedder, AutoModel


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as exc:
        raise NotThere(f"The device {wanted!r} cannot be used: {_first_line(exc)}") from exc
    return device


def _max_length(tokenizer: Any, config: Any, asked: int | None) -> int:
    """Tokens of an input: what is asked, the tokenizer's limit, and the positions that the model has."""
    known = [asked or math.inf, tokenizer.model_max_length]
    positions = getattr(config, "max_position_embeddings", None)
    if positions:
        # RoBERTa and its heirs number positions from behind the padding token
        offset = (config.pad_token_id or 0) + 1 if "roberta" in config.model_type else 0
        known.append(positions - offset)
    return int(min(*known, _UNLIMITED))


def _pooling(folder: Path, config: Any) -> str:
    try:
        settings = json.loads((folder / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "last" if str((config.architectures or [""])[0]).endswith("ForCausalLM") else "mean"
    modes = {"cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken", "mean": "pooling_mode_mean_tokens"}
    for name, key in modes.items():
        if settings.get(key):
            return name
    raise LoadError("The model pools in a way that is not supported; possible are cls, mean and last.")


def _first_line(exc: BaseException) -> str:
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0][:300]
