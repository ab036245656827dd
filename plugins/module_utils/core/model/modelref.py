# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a model comes from, as users write it. Pure."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput
from ..names import check_keys, check_name

BUILTIN, FILE, HUB, URL = "builtin", "file", "hub", "url"
TINY = "tiny"
AUTO, NONE = "auto", "none"
FIELDS = ("name", "source", "files", "revision", "checksum", "mmproj", "draft", "state")

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_HUB = re.compile(rf"({_PART}/{_PART})(?::([A-Za-z0-9][A-Za-z0-9._-]{{0,63}}))?")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_CHECKSUM = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
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
    """One model set as asked for.

    `checksum` is the SHA-256 of the model's only file, in lower case hex. `mmproj` is `auto` or a file, `draft` a file:
    of the repository, or of the host for a local model. `latest`: ask where the revision is now.
    """

    name: str
    source: Source
    files: tuple[str, ...] = ()
    revision: str | None = None
    checksum: str | None = None
    mmproj: str | None = None
    draft: str | None = None
    latest: bool = False

    def identity(self) -> dict[str, Any]:
        """What makes a recorded set this one. A URL is only a place: its file is known by the checksum."""
        where = self.source.kind if self.source.kind == URL else str(self.source)
        parts = {key: value for key, value in (("mmproj", self.mmproj), ("draft", self.draft)) if value}
        files = list(self.files)
        return {"source": where, "files": files, "revision": self.revision, "checksum": self.checksum, **parts}


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
        revision=check_revision(where, entry.get("revision")),
        checksum=_checksum(where, entry.get("checksum")),
        mmproj=_part(where, source, "mmproj", entry.get("mmproj")),
        draft=_part(where, source, "draft", entry.get("draft")),
        latest=entry.get("state") == "latest" and source.kind == HUB,
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


def _part(where: str, source: Source, key: str, value: object) -> str | None:
    """A file that belongs to the model; `auto` for a projector alone."""
    if value is None or value == NONE:
        return None
    if source.kind not in (HUB, FILE):
        raise InvalidInput(f"{where}: {key} belongs to a Hugging Face reference or a local model, not to {source}.")
    if value == AUTO and key == "draft":
        raise InvalidInput(f"{where}: a draft is never guessed.", "Name its file.")
    local = source.kind == FILE and isinstance(value, str) and value.startswith("/")
    safe_path(where, str(value)[1:] if local else value)
    return str(value)


def check_revision(where: str, value: object) -> str | None:
    """A branch, tag or commit, or None.

    :raises InvalidInput: it cannot be one.
    """
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
