# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where llama.cpp comes from: what a user asks for, and the one exact tree that it means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput
from .builds import Build
from .recipe import check_build_id

_KEYS = {
    "git": ("url", "ref", "commit"),
    "archive": ("url", "path", "checksum"),
    "artifact": ("url", "path", "checksum", "build"),
    "sdist": ("url", "path", "version", "checksum"),
}
_HASH = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE | re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)


@dataclass(frozen=True)
class Source:
    """What a user asks for; which fields count depends on `type` (`git`, `archive`, `sdist`, `artifact`).

    :param checksum: 64 hex digits, of an archive, source distribution or artifact.
    :param build: the id of the build in an artifact, where it is known.
    """

    type: str
    url: str | None = None
    ref: str | None = None
    commit: str | None = None
    path: str | None = None
    checksum: str | None = None
    version: str | None = None
    build: str | None = None


@dataclass(frozen=True)
class Exact:
    """One exact tree.

    :param commit: as in a recipe: 40 hex digits, or `sha256:` and the hash of the archive.
    :param kind: how it was named: tag, branch, channel, commit, archive, sdist.
    :param version: llama.cpp's version, where it is known without the tree.
    :param record: what the manifest says about the source.
    """

    commit: str
    kind: str
    version: str | None
    record: Mapping[str, Any]


def read(given: Mapping[str, Any]) -> Source:
    """The source that the options of a module say; None means "not given".

    :raises InvalidInput: an option that does not go with the type, or a malformed checksum or commit.
    """
    options = {key: value for key, value in given.items() if value is not None}
    kind = options.setdefault("type", "git")
    if kind not in _KEYS:
        raise InvalidInput(f"source.type cannot be {kind!r}.", f"Use one of: {', '.join(_KEYS)}.")
    stray = sorted(set(options) - {"type", *_KEYS[kind]})
    if stray:
        raise InvalidInput(
            f"source.{stray[0]} does not go with source.type {kind}.", f"Allowed there: {', '.join(_KEYS[kind])}."
        )
    if "checksum" in options:
        found = _HASH.fullmatch(options["checksum"])
        if not found:
            raise InvalidInput("source.checksum must be a SHA-256: 64 hex digits, with or without sha256: before them.")
        options["checksum"] = found.group(1).lower()
    if "commit" in options and not _COMMIT.fullmatch(options["commit"]):
        raise InvalidInput(
            "source.commit must be a full commit: 40 lower case hex digits.", "Short ones go to source.ref."
        )
    if kind == "archive" and ("url" in options) == ("path" in options):
        raise InvalidInput("source.type archive needs either source.url or source.path.")
    if kind == "archive" and "url" in options and "checksum" not in options:
        raise InvalidInput("source.url of an archive needs source.checksum, its SHA-256.")
    places = {"url", "path"} & set(options)
    if kind == "artifact" and ("checksum" not in options and (places or "build" not in options) or len(places) > 1):
        raise InvalidInput("source.type artifact needs source.checksum, its SHA-256, and source.url or source.path.")
    if "build" in options:
        check_build_id(options["build"])
    if kind == "sdist" and {"url", "path"} <= set(options):
        raise InvalidInput("source.type sdist takes either source.url (an index) or source.path.")
    return Source(**options)


def recorded(builds: Sequence[Build], url: str, ref: str) -> Exact | None:
    """What the manifests of builds already say about a tag or a short commit of a repository: no network is needed."""
    for build in builds:
        record = build.manifest.get("source", {})
        if record.get("type") != "git" or record.get("url") != url:
            continue
        tag = record.get("tag")
        if tag and ref in (tag, f"refs/tags/{tag}"):
            return Exact(build.commit or "", "tag", build.version, git_record(url, ref, "tag", tag))
        if re.fullmatch(r"[0-9a-f]{7,40}", ref) and (build.commit or "").startswith(ref):
            return Exact(build.commit or "", "commit", build.version, git_record(url, ref, "commit"))
    return None


def git_record(url: str, ref: str, kind: str, tag: str | None = None) -> dict[str, str]:
    """What a manifest says about a git source; `tag` is the one that was meant, by its name or as the newest."""
    return {"type": "git", "url": url, "ref": ref, "kind": kind, **({"tag": tag} if tag else {})}
