# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing model sets onto a host: nothing stands under a final name that was not proven.

A file that no store has is fetched under the name `.part-<name of the set>.<SHA-256>` beside its final place. Its
SHA-256 and header are checked there, and only when all of a set are right are they moved and the set recorded. What a
killed run leaves is gone on with by the next one. On a host a set has one writer at a time (`_alone`), so that sets do
not wait for each other; hosts that share a store never touch each other's unfinished files.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .. import gguf, lock
from ..errors import Unreachable, Untrusted
from ..files import remove_file, sha256_of
from ..tree import Tree
from . import download, modelref, modelset, modelsource, staging
from .modelchoice import DRAFT, MMPROJ, MODEL
from .modelref import Request
from .modelset import ModelFile, ModelSet
from .modelsource import Item, Options
from .stores import Store, own, target


@dataclass(frozen=True)
class Outcome:
    """What a call did, or would do, to one set: the record before and after it."""

    name: str
    before: ModelSet | None
    after: ModelSet | None
    changed: bool
    state: str = "present"


def settled(tree: Tree, request: Request) -> ModelSet | None:
    """The recorded set if it is the one asked for and no file was touched; costs a few `stat` calls."""
    known = _known(tree, request)
    if known is None or request.latest:
        return None
    try:
        touched = any(modelset.look(file.path, file.sha256, file.role) != file for file in known.files)
    except OSError:
        return None
    return None if touched else known


def proven(tree: Tree, request: Request, options: Options) -> ModelSet | None:
    """The recorded set if it is what is asked for and its content is as recorded; None if the source must be asked.

    :raises Untrusted: a local file that was recorded in place is missing or has another content.
    """
    known = _known(tree, request)
    if known is None or (request.latest and not options.offline):
        return None
    try:
        return modelset.refreshed(known, options.verify)
    except Untrusted:
        if known.in_place:
            raise
        return None


def foresee(tree: Tree, request: Request, options: Options) -> Outcome:
    """What `bring` would do, as far as that is known without fetching: no architecture, no hash of a local file."""
    before = modelset.load(tree, request.name)
    found = proven(tree, request, options)
    if found is not None:
        return Outcome(request.name, before, found, False)
    if request.source.kind == modelref.FILE:
        after = _set(request, None, tuple(modelsource.local(request)))
        return Outcome(request.name, before, after, True)
    revision, items, missing = _wanted(tree, request, options, before)
    after = _promised(request, revision, items)
    return Outcome(request.name, before, after, bool(missing) or not _same(before, after))


def missing(tree: Tree, request: Request, options: Options) -> list[dict[str, Any]]:
    """The files that `bring` would fetch, for somebody who puts their bytes there before: name below a store, SHA-256,
    size and `have` in bytes, and `part`, the path that takes the bytes. The folders of these are made."""
    before = modelset.load(tree, request.name)
    if request.source.kind in (modelref.FILE, modelref.BUILTIN) or proven(tree, request, options):
        return []
    home = _stores(tree, options)[1]
    found, needed = [], 0
    for item in _wanted(tree, request, options, before)[2]:
        part = staging.part_of(request.name, item, home)
        staging.make_folder(home, os.path.dirname(part))
        have = staging.size_of(part)
        needed += max(0, item.size - have)
        found.append({"name": item.names[0], "sha256": item.sha256, "size": item.size, "have": have, "part": part})
    download.check_space(home.path, needed)
    return found


def bring(tree: Tree, request: Request, options: Options) -> Outcome:
    """Have the set on the host, proven and recorded; fetches what is missing or damaged, and nothing else.

    :raises InvalidInput: the source does not name exactly one model, or another set needs other files in its place.
    :raises Unreachable: something could not be fetched.
    :raises Untrusted: what came is not what was asked for.
    """
    with _alone(tree, request.name, options.wait):
        before = modelset.load(tree, request.name)
        found = proven(tree, request, options)
        changed = found is None
        if found is None and request.source.kind != modelref.FILE:
            found, fetched = _fetched(tree, request, options, before)
            return Outcome(request.name, before, found, fetched or not _same(before, found))
        found = found or _in_place(request)
        if found != before:
            modelset.save(tree, found)
        return Outcome(request.name, before, found, changed)


def remove(tree: Tree, name: str, wait_for: float = 60, stores: Sequence[Store] = ()) -> Outcome:
    """Forget a set and remove the files that were fetched for it and that no other set uses.

    Only what lies in a writable store of this host alone goes; other hosts may use the rest.
    """
    with _alone(tree, name, wait_for), _alone(tree, "", wait_for):
        found = modelset.load(tree, name)
        for store in stores or (own(tree),):
            paths = (
                modelset.unshared(tree, found, [store.path]) if found and store.writable and not store.shared else []
            )
            for path in paths:
                remove_file(path)
            for folder in {os.path.dirname(path) for path in paths}:
                staging.sweep(store, folder, name)
                staging.prune(store, folder)
        return Outcome(name, found, None, modelset.forget(tree, name), "absent")


@contextlib.contextmanager
def _alone(tree: Tree, name: str, seconds: float) -> Iterator[None]:
    """Be the only writer of one set; with the name "", the only one who gives files their final names."""
    file = os.path.join(tree.jobs, f"model-{name}.lock" if name else "models.lock")
    with lock.hold(tree, f"gguf_model {name}".strip(), seconds, file):
        yield


def _known(tree: Tree, request: Request) -> ModelSet | None:
    known = modelset.load(tree, request.name)
    return known if known and known.request == request.identity() else None


def _in_place(request: Request) -> ModelSet:
    paths = modelsource.local(request)
    headers = [gguf.read_header(file.path) for file in paths]
    files = tuple(modelset.look(file.path, sha256_of(file.path), file.role) for file in paths)
    modelsource.check_checksum(request, list(files))
    return _set(request, None, files, headers)


def _same(before: ModelSet | None, after: ModelSet) -> bool:
    """Whether the files are the same, though another way may have been found to ask for them."""
    return before is not None and before.content() == after.content()


def _stores(tree: Tree, options: Options) -> tuple[Sequence[Store], Store]:
    """The stores to search, and the one that takes downloads."""
    found = options.stores or (own(tree),)
    return found, target(found)


def _wanted(
    tree: Tree, request: Request, options: Options, before: ModelSet | None
) -> tuple[str | None, list[Item], list[Item]]:
    """The revision, the files of the set, and those of them that no store has."""
    stores, home = _stores(tree, options)
    revision, items = modelsource.items(request, options, home)
    items, absent = staging.place(items, before, options.verify, stores)
    return revision, items, absent


def _fetched(tree: Tree, request: Request, options: Options, before: ModelSet | None) -> tuple[ModelSet, bool]:
    """The set, fetched and recorded, and whether a file had to be fetched."""
    home = _stores(tree, options)[1]
    revision, items, absent = _wanted(tree, request, options, before)
    promised = _promised(request, revision, items)
    modelset.check_free(tree, promised)
    if absent and home.shared and not options.writer:
        raise Unreachable(
            f"The shared store {home.path} does not have {absent[0].path}, and this host may not write there.",
            "Run this on the host that may, or look why its run failed.",
        )
    parts = {staging.part_of(request.name, item, home): item for item in absent}
    _stage(request, home, parts, options)
    staged = {item.path: part for part, item in parts.items()}
    options.progress.say(f"model {request.name}: looking at what came")
    try:
        headers = [_header(staged.get(item.path, item.path), item.path) for item in items]
        found = _set(request, revision, promised.files, headers)
    except Untrusted:
        for part in parts:  # the right bytes of a wrong file
            remove_file(part)
        staging.forget_empty(home, parts)
        raise
    with _alone(tree, "", options.wait):
        modelset.check_free(tree, promised)
        for path, part in staged.items():
            staging.settle(home, part, path)
        found = modelset.stamped(found)
        modelset.save(tree, found)
    for folder in {os.path.dirname(item.path) for item in items}:
        staging.sweep(home, folder, request.name)
    return found, bool(absent)


def _stage(request: Request, home: Store, parts: dict[str, Item], options: Options) -> None:
    """Fetch what is missing under its unfinished names, if there is room for all of it."""
    for part in parts:
        staging.make_folder(home, os.path.dirname(part))
    needed = sum(item.size - min(item.size, staging.size_of(part)) for part, item in parts.items())
    if parts:
        download.check_space(home.path, needed)
    options.progress.expect(f"model {request.name}", sum(item.size for item in parts.values()))
    try:
        staging.fetch_all(parts, options.progress)
    except BaseException:
        staging.forget_empty(home, parts)
        raise


def _header(path: str, shown: str) -> gguf.Header:
    try:
        return gguf.read_header(path)
    except Untrusted as exc:
        raise Untrusted(exc.problem.replace(path, f"What came for {shown}"), exc.remedy) from None


def _promised(request: Request, revision: str | None, items: list[Item]) -> ModelSet:
    files = (ModelFile(item.path, item.size, item.sha256, role=item.role, name=item.names[0]) for item in items)
    return _set(request, revision, tuple(files))


def _set(
    request: Request, revision: str | None, files: tuple[ModelFile, ...], headers: list[gguf.Header] | None = None
) -> ModelSet:
    """The set of these files, in order; with headers, also what they say."""
    if headers:
        headers = _model_headers(files, headers)
    return ModelSet(
        name=request.name,
        source=str(request.source),
        path=files[0].path,
        files=files,
        architecture=headers[0].architecture if headers else "",
        context_length=headers[0].context_length if headers else None,
        parameters=sum(header.parameters for header in headers) if headers else None,
        revision=revision,
        request=request.identity(),
    )


def _model_headers(files: tuple[ModelFile, ...], headers: list[gguf.Header]) -> list[gguf.Header]:
    """Check what each file is; returns the headers of the model itself."""
    by_role: dict[str, list[gguf.Header]] = {role: [] for role in (MODEL, MMPROJ, DRAFT)}
    for file, header in zip(files, headers):
        by_role[file.role].append(header)
    modelset.check_headers(by_role[MODEL])
    if by_role[DRAFT]:
        modelset.check_headers(by_role[DRAFT])
    for header in by_role[MMPROJ]:
        modelset.check_projector(header)
    return by_role[MODEL]
