# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the headers of a model say, without having the model: a file, a set of shards, a URL or a hub reference."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import gguf
from ..build import tinymodel
from ..errors import InvalidInput, Untrusted
from ..gguf import Header
from ..gguf import remote as gguf_remote
from ..gguf.reader import Skipped
from ..gguf.types import TENSOR_TYPES
from ..web import Remote
from . import modelchoice, modelref, modelset, modelsource
from .hub import Hub
from .modelchoice import Entry
from .modelref import Source

_LONGEST = 200  # characters of a text that strangers wrote


@dataclass(frozen=True)
class Headers:
    """The headers of a model's files in order; of each file its path, size and whatever is known; the commit."""

    headers: tuple[Header, ...]
    files: tuple[dict[str, Any], ...]
    revision: str | None = None


def read(source: Source, files: Sequence[str], revision: str | None, hub: Hub) -> dict[str, Any]:
    """What is known of a model (see RETURN of the module gguf_info); raises as `headers`."""
    found = headers(source, files, revision, hub)
    known = describe(found.headers, found.files)
    return {**known, "revision": found.revision} if found.revision else known


def headers(source: Source, files: Sequence[str], revision: str | None, hub: Hub) -> Headers:
    """The headers of a model, by range requests where it lies on a server.

    :raises InvalidInput: the source does not name exactly one model.
    :raises Unreachable: a server does not give it. :raises Untrusted: a header is damaged or hostile.
    """
    if source.kind == modelref.FILE:
        return _local(source.location)
    if source.kind == modelref.HUB:
        return _of_hub(source, files, revision, hub)
    if source.kind == modelref.URL:
        header = gguf_remote.read_header(Remote(source.location, str(source)))
        return Headers((header,), ({"path": str(source), "size": header.size},))
    raise InvalidInput(f"{source} lies nowhere before it is made.", f"It is {len(tinymodel.content())} bytes of llama.")


def _local(path: str) -> Headers:
    folder, name = os.path.split(modelsource.matching(path))
    try:
        beside = [Entry(entry.name, entry.stat().st_size) for entry in os.scandir(folder) if entry.is_file()]
    except OSError as exc:
        raise InvalidInput(f"{folder} cannot be read: {exc.strerror}.") from None
    if name not in [entry.path for entry in beside]:
        raise InvalidInput(f"There is no file {path}.")
    entries = modelchoice.group(folder, beside, name)
    paths = [os.path.join(folder, entry.path) for entry in entries]
    sizes = tuple({"path": path, "size": entry.size} for path, entry in zip(paths, entries))
    return Headers(tuple(gguf.read_header(path) for path in paths), sizes)


def _of_hub(source: Source, files: Sequence[str], revision: str | None, hub: Hub) -> Headers:
    repo = source.location
    commit, listing = hub.listing(repo, revision)
    where = f"{repo} at {revision or commit}"
    entries = (
        modelchoice.group(where, listing, files[0])
        if len(files) == 1
        else modelchoice.choose(where, listing, source.quant, files)
    )
    found = tuple(hub.header(repo, commit, entry) for entry in entries)
    known = tuple({"path": entry.path, "size": entry.size, "sha256": entry.sha256} for entry in entries)
    return Headers(found, known, commit)


def describe(headers: Sequence[Header], files: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the headers of all files of one model say. Pure.

    :param files: path, size in bytes and whatever else is known of each file, in the order of the headers.
    """
    first = headers[0]
    found = {
        "architecture": first.architecture[:_LONGEST],
        "type": first.text("general.type")[:_LONGEST],
        "name": first.text("general.name")[:_LONGEST],
        "parameters": sum(header.parameters for header in headers),
        "context_length": first.context_length,
        "layers": _of(first, "block_count"),
        "embedding_length": _of(first, "embedding_length"),
        "heads": _of(first, "attention.head_count"),
        "heads_kv": _of(first, "attention.head_count_kv"),
        "experts": _of(first, "expert_count"),
        "experts_used": _of(first, "expert_used_count"),
        "vocabulary": _vocabulary(first),
        "chat_template": "tokenizer.chat_template" in first.metadata,
        "quantisation": quantisation(headers),
        "size": sum(file["size"] for file in files),
        "files": list(files),
        **_shards(headers),
    }
    return {key: value for key, value in found.items() if value not in (None, "")}


def quantisation(headers: Sequence[Header]) -> dict[str, dict[str, int]]:
    """Number of tensors, values and bytes by tensor type, most bytes first."""
    found: dict[str, dict[str, int]] = {}
    for tensor in (tensor for header in headers for tensor in header.tensors):
        kind = TENSOR_TYPES[tensor.type]
        entry = found.setdefault(kind.name, {"tensors": 0, "values": 0, "bytes": 0})
        entry["tensors"] += 1
        entry["values"] += tensor.size // kind.size * kind.block
        entry["bytes"] += tensor.size
    return dict(sorted(found.items(), key=lambda item: -item[1]["bytes"]))


def _shards(headers: Sequence[Header]) -> dict[str, Any]:
    """How many shards the model has, and what is wrong with those at hand."""
    count = headers[0].number("split.count") or 1
    try:
        modelset.check_shards(headers)
    except Untrusted as exc:
        return {"shards": count, "complete": False, "problem": exc.problem}
    return {"shards": count, "complete": True}


def _of(header: Header, key: str) -> int | list[Any] | None:
    """A number of the architecture; a list where layers differ, one number where all are equal."""
    value = header.metadata.get(f"{header.architecture}.{key}")
    if isinstance(value, tuple):
        return value[0] if len(set(value)) == 1 and isinstance(value[0], int) else list(value)
    return value if isinstance(value, int) else None


def _vocabulary(header: Header) -> int | None:
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    return tokens.count if isinstance(tokens, Skipped) else _number(_of(header, "vocab_size"))


def _number(value: int | list[Any] | None) -> int | None:
    return value if isinstance(value, int) else None
