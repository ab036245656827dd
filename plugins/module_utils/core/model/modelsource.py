# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model source means on this host: the files, where they belong, and what fetches each of them."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Optional

from ..build import tinymodel
from ..errors import InvalidInput, Unreachable, Untrusted
from ..files import sha256_of, write_bytes
from ..progress import Progress
from ..web import Remote
from . import download, mirror, modelchoice, modelref, promise, stores
from .download import Patience
from .hub import Hub
from .modelchoice import MODEL, Entry
from .modelref import Request
from .modelset import ModelFile
from .promise import Promise
from .stores import Store

Moved = Optional[Callable[[int], None]]  # is told of so many further bytes
Get = Callable[[str, Moved], str]


@dataclass(frozen=True)
class Options:
    """How to fetch. `verify`: hash recorded files again instead of believing size, time and inode.

    `offline`: never ask the source. `wait`: seconds to wait for another run that works on the same set. `stores`: where
    files may lie, the runtime root alone if empty. `writer`: this host may bring files into shared stores. `resolved`:
    what sources mean, by name of the set, as found out elsewhere. `mirror`: asked for bytes before the source is.
    """

    hub: Hub
    offline: bool = False
    verify: bool = False
    wait: float = 60
    patience: Patience = field(default_factory=Patience)
    progress: Progress = field(default_factory=Progress)
    stores: tuple[Store, ...] = ()
    writer: bool = True
    resolved: Mapping[str, Promise] = field(default_factory=dict)
    mirror: str | None = None


@dataclass(frozen=True)
class Item:
    """A file a set needs: final path, bytes (0 if unknown), SHA-256, what fetches it, its names below a store, role.

    `get` writes to a path, goes on where an earlier call ended there, and returns the SHA-256 of what is there then.
    `origin` does the same without a mirror. The first name is the usual one.
    """

    path: str
    size: int
    sha256: str
    get: Get
    origin: Get
    names: tuple[str, ...]
    role: str = MODEL


def items(request: Request, options: Options, store: Store) -> tuple[str | None, list[Item]]:
    """The revision and the files that a built-in model, a URL or a hub reference means now.

    :param store: where files are brought that lie in no store yet.
    :raises InvalidInput: the source does not name exactly one model.
    :raises Unreachable: the hub cannot be asked.
    """
    kind, location = request.source.kind, request.source.location
    if kind == modelref.BUILTIN:
        data = tinymodel.content()
        digest = hashlib.sha256(data).hexdigest()
        return None, [_item(store, Entry(f"{location}.gguf", len(data), digest), "builtin", None, _tiny, options)]
    known = options.resolved.get(request.name)
    if known:
        promise.check(request, known)
    if kind == modelref.URL:
        size = known.files[0][1].size if known else 0
        entry = Entry(modelref.file_name(location), size, request.checksum)
        home = f"url/{str(request.checksum)[:12]}"
        return None, [_item(store, entry, home, None, _from_url(request, options), options)]
    commit, parts = _promised(location, known) if known else _listed(request, options)
    found = [
        _item(store, entry, location, commit, _from_hub(request, commit, entry, options), options, role)
        for role, entry in parts
    ]
    check_checksum(request, [ModelFile(item.path, item.size, item.sha256, role=item.role) for item in found])
    return commit, found


def _promised(repo: str, known: Promise) -> tuple[str, list[tuple[str, Entry]]]:
    found = [(role, replace(entry, path=entry.path[len(repo) + 1 :])) for role, entry in known.files]
    return str(known.revision), found


def _listed(request: Request, options: Options) -> tuple[str, list[tuple[str, Entry]]]:
    repo = request.source.location
    if options.offline:
        cached = stores.cached_listing(options.stores, repo, request.revision)
        if cached is None:
            raise _offline(request)
        commit, listing = cached
    else:
        commit, listing = options.hub.listing(repo, request.revision)
    return commit, modelchoice.parts(f"{repo} at {request.revision or commit}", listing, request)


def local(request: Request) -> list[ModelFile]:
    """The files of a local model, not hashed: the file, the other shards beside it, and its projector and draft.

    :raises InvalidInput: one of them is not there, or a pattern means no model or several.
    """
    folder, name = os.path.split(matching(request.source.location))
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


def matching(path: str) -> str:
    """The first file of the only model that a pattern such as `/srv/*Q4_K_M*.gguf` matches; a plain path as it is.

    :raises InvalidInput: there is no model, or several; lists them with their sizes.
    """
    wild = glob.has_magic(path) and not os.path.exists(path)
    if not wild:
        return path
    folder = os.path.dirname(re.split(r"[*?\[]", path, maxsplit=1)[0])
    found = [
        Entry(os.path.relpath(each, folder), os.path.getsize(each)) for each in glob.glob(path) if os.path.isfile(each)
    ]
    return os.path.join(folder, modelchoice.choose(path, found, None)[0].path)


def _beside(request: Request, folder: str) -> list[Entry]:
    try:
        return [Entry(entry.name, entry.stat().st_size) for entry in os.scandir(folder) if entry.is_file()]
    except OSError as exc:
        raise InvalidInput(f"Model {request.name!r}: {folder} cannot be read: {exc.strerror}.") from None


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


def _item(
    store: Store, entry: Entry, home: str, commit: str | None, origin: Get, options: Options, role: str = MODEL
) -> Item:
    names = stores.names(home, entry.path, commit)

    def get(path: str, moved: Moved) -> str:
        found = None
        if options.mirror:
            found = mirror.bring(options.mirror, names, path, entry.size, options.patience, moved)
        return found or origin(path, moved)

    path = os.path.join(store.path, stores.name_in(store, names))
    return Item(path, entry.size, entry.sha256 or "", get, origin, names, role)


def _tiny(path: str, _moved: Moved) -> str:
    data = tinymodel.content()
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def _from_hub(request: Request, commit: str, entry: Entry, options: Options) -> Get:
    def get(path: str, moved: Moved) -> str:
        if options.offline and _size(path) != entry.size:
            raise _offline(request)
        return options.hub.download(request.source.location, commit, entry, path, options.patience, moved)

    return get


def _from_url(request: Request, options: Options) -> Get:
    remote = Remote(request.source.location, str(request.source))

    def get(path: str, moved: Moved) -> str:
        if not options.offline:
            return download.resume(remote, path, 0, options.patience, moved)
        if os.path.isfile(path) and sha256_of(path) == request.checksum:
            return str(request.checksum)
        raise _offline(request)

    return get


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.isfile(path) else -1


def _offline(request: Request) -> Unreachable:
    return Unreachable(
        f"The model {request.name!r} ({request.source}) is not complete on this host, and offline is set.",
        "Run this once without offline, or name a mirror or a store that has it.",
    )
