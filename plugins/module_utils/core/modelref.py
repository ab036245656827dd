# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a model comes from, as users write it, and which files of a listing are meant. Pure."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import InvalidInput
from .names import check_keys, check_name, did_you_mean
from .sizes import human

BUILTIN, FILE, HUB, URL = "builtin", "file", "hub", "url"
TINY = "tiny"
FIELDS = ("name", "source", "files", "revision", "checksum", "state")

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_HUB = re.compile(rf"({_PART}/{_PART})(?::([A-Za-z0-9][A-Za-z0-9._-]{{0,63}}))?")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_CHECKSUM = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)
_NO_MODEL = re.compile(r"(?:^|[-_./])(?:mmproj|imatrix|vocab|draft)(?=[-_.]|$)|(?:^|/)mtp-[^/]*$", re.IGNORECASE)
_EXAMPLES = "Use /path/model.gguf, https://host/model.gguf, owner/repo:QUANT or builtin:tiny."


@dataclass(frozen=True)
class Source:
    """A model source. `location` is a path, a URL, `owner/repo` or the name of a built-in model."""

    kind: str
    location: str
    quant: str | None = None

    def __str__(self) -> str:
        """As shown and recorded: a URL without its query, where access keys stand."""
        if self.kind == URL:
            return self.location.split("?")[0]
        if self.kind == BUILTIN:
            return f"{BUILTIN}:{self.location}"
        return f"{self.location}:{self.quant}" if self.quant else self.location


@dataclass(frozen=True)
class Request:
    """One model set as asked for; `checksum` is the SHA-256 of its only file, in lower case hex."""

    name: str
    source: Source
    files: tuple[str, ...] = ()
    revision: str | None = None
    checksum: str | None = None

    def identity(self) -> dict[str, Any]:
        """What makes a recorded set this one. A URL is only a place: its file is known by the checksum."""
        where = self.source.kind if self.source.kind == URL else str(self.source)
        return {"source": where, "files": list(self.files), "revision": self.revision, "checksum": self.checksum}


@dataclass(frozen=True)
class Entry:
    """A file in a listing: its path below the listed folder or repository, its size in bytes, its SHA-256 if known."""

    path: str
    size: int
    sha256: str | None = None


def read_all(entries: Iterable[Mapping[str, Any]]) -> tuple[list[Request], list[str]]:
    """Check a list of models: those to have, and the names of those to remove.

    :raises InvalidInput: an entry is wrong, or two share a name.
    """
    present: list[Request] = []
    absent: list[str] = []
    for entry in entries:
        name = check_name("model", entry.get("name"))
        if name in absent or name in [item.name for item in present]:
            raise InvalidInput(f"Two models are called {name!r}.", "Every model needs a name of its own.")
        if entry.get("state") == "absent":
            absent.append(name)
        else:
            present.append(request(entry))
    return present, absent


def request(entry: Mapping[str, Any]) -> Request:
    """Check one entry of a list of models. Values that are None count as not given.

    :raises InvalidInput: names the model, what was found and what is possible.
    """
    name = check_name("model", entry.get("name"))
    where = f"Model {name!r}"
    check_keys(where, entry, FIELDS)
    source = parse(entry.get("source"))
    found = Request(
        name=name,
        source=source,
        files=tuple(safe_path(where, path) for path in entry.get("files") or ()),
        revision=_revision(where, entry.get("revision")),
        checksum=_checksum(where, entry.get("checksum")),
    )
    if source.kind == URL and not found.checksum:
        raise InvalidInput(f"{where} comes from a URL and has no checksum.", "Give checksum: sha256:<64 hex digits>.")
    if source.kind != HUB and (found.files or found.revision):
        raise InvalidInput(f"{where}: files and revision belong to a Hugging Face reference, not to {source}.")
    if source.quant and found.files:
        raise InvalidInput(f"{where} names both a quantisation and files.", f"Use {source.location} with files.")
    return found


def parse(text: object) -> Source:
    """What a model source means.

    :raises InvalidInput: it is none of the known forms, or hostile (control characters, `..`, backslash, leading dash).
    """
    if not isinstance(text, str) or not text or len(text) > 2048:
        raise InvalidInput(f"{text!r} is no model source.", _EXAMPLES)
    if not text.isprintable() or text[0] == "-" or "\\" in text or ".." in text.split("?")[0].split("/"):
        raise InvalidInput(f"{text!r} cannot be used as a model source.", _EXAMPLES)
    if text.startswith("/"):
        return Source(FILE, text)
    if re.match(r"https?://", text, re.IGNORECASE):
        return _url(text)
    if text == f"{BUILTIN}:{TINY}":
        return Source(BUILTIN, TINY)
    found = _HUB.fullmatch(text)
    if not found or ".." in text or "--" in found.group(1):
        raise InvalidInput(f"{text!r} is no model source.", _EXAMPLES)
    return Source(HUB, found.group(1), found.group(2))


def _url(text: str) -> Source:
    try:
        parts = urllib.parse.urlsplit(text)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or " " in text or parts.fragment:
        raise InvalidInput(f"{text!r} is no URL of a file.", _EXAMPLES)
    if parts.username or parts.password:
        raise InvalidInput("A URL with a user or password in it is not accepted as a model source.")
    return Source(URL, text)


def file_name(url: str) -> str:
    """The name a file from this URL gets on the host."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path).rsplit("/", 1)[-1]
    return name if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,180}\.gguf", name) else "model.gguf"


def is_safe_path(path: object) -> bool:
    """True for a relative path that stays inside its folder and that no tool mistakes for something else."""
    if not isinstance(path, str) or not path.isprintable() or "\\" in path or not 0 < len(path) <= 1024:
        return False
    return all(part and part[0] not in "-." and len(part) <= 200 for part in path.split("/"))


def safe_path(where: str, path: object) -> str:
    """The path, if `is_safe_path`.

    :raises InvalidInput: it is not.
    """
    if not is_safe_path(path):
        raise InvalidInput(f"{where}: {path!r} cannot name a file of a repository.")
    return str(path)


def set_name(reference: object) -> str:
    """The name of the model set that an instance means which gives a reference instead of a name.

    :raises InvalidInput: it is neither a reference, or one that needs more than a reference (a URL needs a checksum).
    """
    source = parse(reference)
    if source.kind == URL:
        raise InvalidInput(
            f"{source} cannot stand in an instance, because a URL needs a checksum.",
            "Put it into llama_models under a name and give the instance that name.",
        )
    text = str(source)
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if len(slug) <= 40:
        return slug
    return f"{slug[:31].rstrip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def choose(where: str, listing: Sequence[Entry], quant: str | None, files: Iterable[str] = ()) -> tuple[Entry, ...]:
    """The files of one model in a listing, its first shard first.

    A quantisation is matched without regard to case against whole tokens of a path: `Q4_K` is not `Q4_K_M`.

    :param where: what is listed, for messages.
    :param files: exact paths; any shard stands for its whole set.
    :raises InvalidInput: no model or several fit, or shards are missing; lists the candidates with their sizes.
    """
    models = _models(listing)
    asked = list(files)
    if asked:
        found = _named(where, models, asked)
    elif quant:
        found = _matching(models, quant)
    else:
        found = models
    wanted = f"of {quant}" if quant else "of the files asked for" if asked else "chosen by the reference alone"
    if not found:
        raise InvalidInput(f"{where} has no model {wanted}.", _candidates(models))
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


def _models(listing: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Models by name (the path without shard numbers), each with its files in order."""
    models: dict[str, list[Entry]] = {}
    for entry in sorted(listing, key=lambda item: item.path):
        if not entry.path.lower().endswith(".gguf") or not is_safe_path(entry.path) or _NO_MODEL.search(entry.path):
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


def _candidates(models: Mapping[str, list[Entry]]) -> str:
    lines = [f"{name} ({human(sum(entry.size for entry in entries))})" for name, entries in models.items()]
    return f"Candidates: {', '.join(lines[:40])}." if lines else "It has no GGUF model at all."


def _revision(where: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _REVISION.fullmatch(value) or ".." in value:
        raise InvalidInput(f"{where}: {value!r} is no revision.", "Give a branch, a tag or a full commit.")
    return value


def _checksum(where: str, value: object) -> str | None:
    if value is None:
        return None
    found = _CHECKSUM.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise InvalidInput(f"{where}: {value!r} is no checksum.", "Give sha256:<64 hex digits>.")
    return found.group(1).lower()
