# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model source means on this host: the files, where they belong, and what fetches each of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Optional

from ..build import tinymodel
from ..errors import InvalidInput, Unreachable, Untrusted
from ..files import write_bytes
from ..progress import Progress
from ..tree import Tree
from ..web import Remote
from . import download, modelchoice, modelref
from .download import Patience
from .hub import Hub
from .modelchoice import MODEL, Entry
from .modelref import Request
from .modelset import ModelFile

Moved = Optional[Callable[[int], None]]  # is told of so many further bytes


@dataclass(frozen=True)
class Options:
    """How to fetch. `verify`: hash recorded files again instead of believing size, time and inode.

    `wait`: seconds to wait for another run that works on the same set.
    """

    hub: Hub
    offline: bool = False
    verify: bool = False
    wait: float = 60
    patience: Patience = field(default_factory=Patience)
    progress: Progress = field(default_factory=Progress)


@dataclass(frozen=True)
class Item:
    """A file a set needs: its final path, bytes (0 if unknown), SHA-256, role, and what fetches it.

    `get` writes to a path, goes on where an earlier call ended there, and returns the SHA-256 of what is there then.
    """

    path: str
    size: int
    sha256: str
    get: Callable[[str, Moved], str]
    role: str = MODEL


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
        return None, [_url_item(path, request, options)]
    _need_network(request, options)
    repo = request.source.location
    commit, listing = options.hub.listing(repo, request.revision)
    parts = modelchoice.parts(f"{repo} at {request.revision or commit}", listing, request)
    found = [_hub_item(folder, repo, commit, entry, role, options) for role, entry in parts]
    check_checksum(request, [ModelFile(item.path, item.size, item.sha256, role=item.role) for item in found])
    return commit, found


def local(request: Request) -> list[ModelFile]:
    """The files of a local model, not hashed: the file, the other shards beside it, and its projector and draft.

    :raises InvalidInput: one of them is not there.
    """
    folder, name = os.path.split(request.source.location)
    listing = _beside(request, folder)
    if name not in [entry.path for entry in listing]:
        raise InvalidInput(f"Model {request.name!r}: there is no file {request.source}.")
    found = [(MODEL, folder, entry) for entry in modelchoice.choose(folder, listing, None, [name])]
    if request.mmproj:
        where, asked = os.path.split(os.path.join(folder, request.mmproj))
        projector = modelchoice.projector(where, _beside(request, where), Entry(name, 0), asked)
        found.append((modelchoice.MMPROJ, where, projector))
    if request.draft:
        where, asked = os.path.split(os.path.join(folder, request.draft))
        drafts = modelchoice.choose(where, _beside(request, where), None, [asked])
        found += [(modelchoice.DRAFT, where, entry) for entry in drafts]
    return [ModelFile(os.path.join(where, entry.path), entry.size, "", role=role) for role, where, entry in found]


def _beside(request: Request, folder: str) -> list[Entry]:
    try:
        return [Entry(entry.name, entry.stat().st_size) for entry in os.scandir(folder) if entry.is_file()]
    except OSError as exc:
        raise InvalidInput(f"Model {request.name!r}: {folder} cannot be read: {exc.strerror}.") from None


def home(tree: Tree, request: Request) -> str:
    """The folder below `models` where the files of this source lie."""
    if request.source.kind == modelref.BUILTIN:
        return os.path.join(tree.models, "builtin")
    if request.source.kind == modelref.URL:
        return os.path.join(tree.models, "url", str(request.checksum)[:12])
    return os.path.join(tree.models, *request.source.location.split("/"))


def check_checksum(request: Request, files: list[ModelFile]) -> None:
    """Compare the only file of the model with the checksum asked for, if any.

    :raises InvalidInput: there are several files.
    :raises Untrusted: it is another one.
    """
    if request.checksum is None:
        return
    model = [file for file in files if file.role == MODEL]
    if len(model) > 1:
        raise InvalidInput(f"Model {request.name!r} has {len(model)} files; a checksum can belong to one only.")
    if model[0].sha256 != request.checksum:
        raise Untrusted(
            f"{model[0].path} has the SHA-256 {model[0].sha256}; {request.checksum} was asked for.",
            "Check the source and the checksum.",
        )


def _hub_item(folder: str, repo: str, commit: str, entry: Entry, role: str, options: Options) -> Item:
    def get(path: str, moved: Moved) -> str:
        return options.hub.download(repo, commit, entry, path, options.patience, moved)

    return Item(os.path.join(folder, entry.path), entry.size, entry.sha256 or "", get, role)


def _tiny(path: str, _moved: Moved) -> str:
    data = tinymodel.content()
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def _url_item(path: str, request: Request, options: Options) -> Item:
    remote = Remote(request.source.location, str(request.source))

    def get(target: str, moved: Moved) -> str:
        _need_network(request, options)
        return download.resume(remote, target, 0, options.patience, moved)

    return Item(path, 0, str(request.checksum), get)


def _need_network(request: Request, options: Options) -> None:
    if options.offline:
        raise Unreachable(
            f"The model {request.name!r} ({request.source}) is not complete on this host, and offline is set.",
            "Run this once without offline.",
        )
