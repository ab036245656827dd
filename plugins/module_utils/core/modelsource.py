# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model source means on this host: the files, where they belong, and what fetches each of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import download, modelref, tinymodel
from .errors import InvalidInput, Unreachable, Untrusted
from .files import sha256_of
from .hub import Hub
from .modelref import Entry, Request
from .tree import Tree


@dataclass(frozen=True)
class Options:
    """How to fetch. `verify`: hash recorded files again instead of believing size, time and inode."""

    hub: Hub
    offline: bool = False
    verify: bool = False


@dataclass(frozen=True)
class Item:
    """A file a set needs: its final path, bytes (0 if unknown), SHA-256, and what fetches it.

    `get` takes an empty folder and returns the path in it and the SHA-256 of what came.
    """

    path: str
    size: int
    sha256: str
    get: Callable[[str], tuple[str, str]]


def items(tree: Tree, request: Request, options: Options) -> tuple[str | None, list[Item]]:
    """The revision and the files that a built-in model, a URL or a hub reference means now.

    :raises InvalidInput: the source does not name exactly one model.
    :raises Unreachable: the hub cannot be asked.
    """
    folder = home(tree, request)
    if request.source.kind == modelref.BUILTIN:
        data = tinymodel.content()
        path = os.path.join(folder, f"{request.source.location}.gguf")
        return None, [Item(path, len(data), hashlib.sha256(data).hexdigest(), _tiny)]
    if request.source.kind == modelref.URL:
        path = os.path.join(folder, modelref.file_name(request.source.location))
        return None, [Item(path, 0, str(request.checksum), lambda stage: _from_url(request, options, stage))]
    _need_network(request, options)
    repo = request.source.location
    commit, listing = options.hub.listing(repo, request.revision)
    entries = modelref.choose(f"{repo} at {request.revision or commit}", listing, request.source.quant, request.files)
    check_checksum(request, {entry.path: entry.sha256 or "" for entry in entries})
    return commit, [_hub_item(folder, repo, commit, entry, options) for entry in entries]


def local(request: Request) -> dict[str, int]:
    """Paths and sizes of the files of a local model: the file, and the other shards beside it.

    :raises InvalidInput: there is no such file, or a shard is missing.
    """
    folder, name = os.path.split(request.source.location)
    try:
        beside = [entry for entry in os.scandir(folder) if entry.is_file()]
    except OSError as exc:
        raise InvalidInput(f"Model {request.name!r}: {folder} cannot be read: {exc.strerror}.") from None
    if name not in [entry.name for entry in beside]:
        raise InvalidInput(f"Model {request.name!r}: there is no file {request.source}.")
    listing = [Entry(entry.name, entry.stat().st_size) for entry in beside]
    entries = modelref.choose(folder, listing, None, [name])
    return {os.path.join(folder, entry.path): entry.size for entry in entries}


def home(tree: Tree, request: Request) -> str:
    """The folder below `models` where the files of this source lie."""
    if request.source.kind == modelref.BUILTIN:
        return os.path.join(tree.models, "builtin")
    if request.source.kind == modelref.URL:
        return os.path.join(tree.models, "url", str(request.checksum)[:12])
    return os.path.join(tree.models, *request.source.location.split("/"))


def check_checksum(request: Request, digests: Mapping[str, str]) -> None:
    """Compare the only file (path and SHA-256) with the checksum asked for, if any.

    :raises InvalidInput: there are several files.
    :raises Untrusted: it is another one.
    """
    if request.checksum is None:
        return
    if len(digests) > 1:
        raise InvalidInput(f"Model {request.name!r} has {len(digests)} files; a checksum can belong to one only.")
    for path, digest in digests.items():
        if digest != request.checksum:
            raise Untrusted(
                f"{path} has the SHA-256 {digest}; {request.checksum} was asked for.",
                "Check the source and the checksum.",
            )


def _hub_item(folder: str, repo: str, commit: str, entry: Entry, options: Options) -> Item:
    def get(stage: str) -> tuple[str, str]:
        path = options.hub.download(repo, commit, entry.path, stage)
        return path, sha256_of(path)

    return Item(os.path.join(folder, entry.path), entry.size, entry.sha256 or "", get)


def _tiny(stage: str) -> tuple[str, str]:
    path = os.path.join(stage, "tiny.gguf")
    tinymodel.write(path)
    return path, sha256_of(path)


def _from_url(request: Request, options: Options, stage: str) -> tuple[str, str]:
    _need_network(request, options)
    path = os.path.join(stage, "download.gguf")
    return path, download.fetch(request.source.location, str(request.source), path)


def _need_network(request: Request, options: Options) -> None:
    if options.offline:
        raise Unreachable(
            f"The model {request.name!r} ({request.source}) is not complete on this host, and offline is set.",
            "Run this once without offline.",
        )
