# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a listing are meant by a model source. Pure; the rules stand in docs/models.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import InvalidInput
from ..names import did_you_mean
from ..sizes import human
from .modelref import AUTO, Request, is_safe_path

MODEL, MMPROJ, DRAFT = "model", "mmproj", "draft"

_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)
_WORD = r"(?:^|[-_./])(?:{})(?=[-_./]|$)"
_PROJECTOR = re.compile(_WORD.format("mmproj"), re.IGNORECASE)
_NO_MODEL = re.compile(_WORD.format("mmproj|imatrix|vocab"), re.IGNORECASE)
# common/download.cpp of llama.cpp, gguf_filename_is_model; "MTP" elsewhere in a name is a model with such layers
_DRAFT = re.compile(_WORD.format("draft|eagle3|dflash|dspark") + r"|(?:^|/)mtp-[^/]*$", re.IGNORECASE)
_PRECISIONS = ("f16", "bf16", "q8_0", "f32")  # of a projector, best first: f16 runs on every backend


@dataclass(frozen=True)
class Entry:
    """A file in a listing: its path below the listed folder or repository, its size in bytes, its SHA-256 if known."""

    path: str
    size: int
    sha256: str | None = None


def parts(where: str, listing: Sequence[Entry], request: Request) -> list[tuple[str, Entry]]:
    """The files a request means, each with its role: the model's, its first shard first, then projector and draft.

    :param where: what is listed, for messages.
    :raises InvalidInput: see `choose` and `projector`.
    """
    model = choose(where, listing, request.source.quant, request.files)
    found = [(MODEL, entry) for entry in model]
    if request.mmproj:
        found.append((MMPROJ, projector(where, listing, model[0], request.mmproj)))
    if request.draft:
        drafts = _groups(listing, lambda path: not _NO_MODEL.search(path))
        found += [(DRAFT, entry) for entry in _one(where, _named(where, drafts, [request.draft]), "as draft")]
    return found


def choose(where: str, listing: Sequence[Entry], quant: str | None, files: Iterable[str] = ()) -> tuple[Entry, ...]:
    """The files of one model in a listing, its first shard first.

    A quantisation is matched without regard to case against whole tokens of a path: `Q4_K` is not `Q4_K_M`.

    :param files: exact paths; any shard stands for its whole set.
    :raises InvalidInput: no model or several fit, or shards are missing; lists the candidates with their sizes.
    """
    asked = list(files)
    models = _groups(listing, lambda path: not _NO_MODEL.search(path) and (bool(asked) or not _DRAFT.search(path)))
    if asked:
        return _one(where, _named(where, models, asked), "of the files asked for")
    if not quant:
        return _one(where, models, "chosen by the reference alone")
    found = _matching(models, quant)
    if not found:
        raise InvalidInput(f"{where} has no model of {quant}.", _candidates(models))
    return _one(where, found, f"of {quant}")


def group(where: str, listing: Sequence[Entry], path: str) -> tuple[Entry, ...]:
    """A file of a listing with its other shards, whatever it is.

    :raises InvalidInput: it is not there, or a shard is missing.
    """
    return _one(where, _named(where, _groups(listing, lambda _path: True), [path]), "of the file asked for")


def projector(where: str, listing: Sequence[Entry], model: Entry, asked: str) -> Entry:
    """The multimodal projector that belongs to a model: a file, or with `auto` the one that can be meant.

    The nearest folder at or above the model's counts; of one projector in several precisions the best is taken.

    :raises InvalidInput: there is none, or several different ones.
    """
    entries = [entry for entry in listing if _PROJECTOR.search(entry.path) and _usable(entry.path)]
    known = _by_path(entries)
    if asked != AUTO:
        if asked not in known:
            raise InvalidInput(f"{where} has no projector {asked!r}.", _candidates(known, "projector"))
        return known[asked][0]
    above = [folder for entry in entries if model.path.startswith(folder := _folder(entry.path))]
    nearest = max(above, default="/", key=len)
    near = [entry for entry in entries if _folder(entry.path) == nearest]
    kinds = {_precision(entry.path)[1] for entry in near}
    ranked = sorted(near, key=lambda entry: _precision(entry.path)[0])
    tie = len(ranked) > 1 and _precision(ranked[0].path) == _precision(ranked[1].path)
    if len(kinds) != 1 or tie:
        number = f"{len(near)} projectors" if near else "no projector"
        remedy = "Name one with mmproj. " if near else ""
        raise InvalidInput(
            f"{where} has {number} for {model.path}.", remedy + _candidates(_by_path(near or entries), "projector")
        )
    return ranked[0]


def _precision(path: str) -> tuple[int, str]:
    """The rank of a projector's precision, and its name without it."""
    name = path.rsplit("/", 1)[-1].lower()
    for rank, word in enumerate(_PRECISIONS):
        token = re.search(rf"(?<![a-z0-9_]){word}(?![a-z0-9_])", name)
        if token:
            return rank, name[: token.start()] + name[token.end() :]
    return len(_PRECISIONS), name


def _folder(path: str) -> str:
    """The folder of a path, with a slash at its end; "" at the top."""
    return path[: path.rfind("/") + 1]


def _by_path(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    return {entry.path: [entry] for entry in entries}


def _usable(path: str) -> bool:
    return path.lower().endswith(".gguf") and is_safe_path(path)


def _groups(listing: Sequence[Entry], wanted: Callable[[str], bool]) -> dict[str, list[Entry]]:
    """Models by name (the path without shard numbers), each with its files in order."""
    models: dict[str, list[Entry]] = {}
    for entry in sorted(listing, key=lambda item: item.path):
        if not _usable(entry.path) or not wanted(entry.path):
            continue
        shard = _SHARD.fullmatch(entry.path)
        name = f"{shard.group(1)} ({int(shard.group(3))} shards)" if shard else entry.path
        models.setdefault(name, []).append(entry)
    return models


def _matching(models: Mapping[str, list[Entry]], quant: str) -> dict[str, list[Entry]]:
    token = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(quant)}(?![A-Za-z0-9_])", re.IGNORECASE)
    found = {name: entries for name, entries in models.items() if token.search(name)}
    # A dynamic quantisation (UD-Q4_K_XL) is another one than its namesake; it is meant only where it is the only one.
    plain = {name: entries for name, entries in found.items() if not re.search(rf"UD-{re.escape(quant)}", name, re.I)}
    return plain or found


def _named(where: str, models: Mapping[str, list[Entry]], asked: Sequence[str]) -> dict[str, list[Entry]]:
    owners = {entry.path: name for name, entries in models.items() for entry in entries}
    for path in asked:
        if path not in owners:
            raise InvalidInput(
                f"{where} has no model file {path!r}.", did_you_mean(path, owners) or _candidates(models)
            )
    return {owners[path]: models[owners[path]] for path in asked}


def _one(where: str, found: Mapping[str, list[Entry]], wanted: str) -> tuple[Entry, ...]:
    """The files of the only model, all its shards there."""
    if not found:
        raise InvalidInput(f"{where} has no model {wanted}.", _candidates(found))
    if len(found) > 1:
        raise InvalidInput(f"{where} has {len(found)} models {wanted}.", _candidates(found))
    name, entries = next(iter(found.items()))
    shards = [
        (int(shard.group(2)), int(shard.group(3))) for entry in entries if (shard := _SHARD.fullmatch(entry.path))
    ]
    if shards and [number for number, _count in shards] != list(range(1, shards[0][1] + 1)):
        there = ", ".join(str(number) for number, _count in shards)
        raise InvalidInput(f"{where} does not have all shards of {name}, only {there}.")
    return tuple(entries)


def _candidates(models: Mapping[str, list[Entry]], what: str = "GGUF model") -> str:
    lines = [f"{name} ({human(sum(entry.size for entry in entries))})" for name, entries in models.items()]
    return f"Candidates: {', '.join(lines[:40])}." if lines else f"It has no {what} at all."
