# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing model sets onto a host: nothing stands under a final name that was not proven.

Files are fetched into a folder `.part-<name of the set>` beside their final place. Their SHA-256 and headers are
checked there, and only then are they moved and the set recorded. A killed run leaves such a folder at most, which the
next one removes. Callers hold the lock of the root (`lock.hold`) around `bring` and `remove`.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from . import download, gguf, modelref, modelset, modelsource
from .errors import Untrusted
from .files import remove_file, sha256_of
from .modelref import Request
from .modelset import ModelFile, ModelSet
from .modelsource import Item, Options
from .tree import Tree

_PART = ".part-"


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
    if known is None:
        return None
    try:
        touched = any(modelset.look(file.path, file.sha256) != file for file in known.files)
    except OSError:
        return None
    return None if touched else known


def proven(tree: Tree, request: Request, verify: bool) -> ModelSet | None:
    """The recorded set if it is the one asked for and its content is the recorded one; None if it must be fetched.

    :raises Untrusted: a local file that was recorded in place is missing or has another content.
    """
    known = _known(tree, request)
    if known is None:
        return None
    try:
        return modelset.refreshed(known, verify)
    except Untrusted:
        if known.in_place:
            raise
        return None


def foresee(tree: Tree, request: Request, options: Options) -> Outcome:
    """What `bring` would do, as far as that is known without fetching: no architecture, no hash of a local file."""
    before = modelset.load(tree, request.name)
    found = proven(tree, request, options.verify)
    if found is not None:
        return Outcome(request.name, before, found, False)
    if request.source.kind == modelref.FILE:
        paths = modelsource.local(request)
        after = _set(request, None, tuple(ModelFile(path, size, "") for path, size in paths.items()))
        return Outcome(request.name, before, after, True)
    return Outcome(request.name, before, _promised(request, *modelsource.items(tree, request, options)), True)


def bring(tree: Tree, request: Request, options: Options) -> Outcome:
    """Have the set on the host, proven and recorded; fetches what is missing or damaged, and nothing else.

    :raises InvalidInput: the source does not name exactly one model, or another set needs other files in its place.
    :raises Unreachable: something could not be fetched.
    :raises Untrusted: what came is not what was asked for.
    """
    before = modelset.load(tree, request.name)
    found = proven(tree, request, options.verify)
    changed = found is None
    if found is None:
        found = _in_place(request) if request.source.kind == modelref.FILE else _fetched(tree, request, options)
    if found != before:
        modelset.save(tree, found)
    return Outcome(request.name, before, found, changed)


def remove(tree: Tree, name: str) -> Outcome:
    """Forget a set and remove the files that were fetched for it and that no other set uses."""
    found = modelset.load(tree, name)
    for path in modelset.unshared(tree, found) if found else ():
        remove_file(path)
        _prune(tree, os.path.dirname(path))
    return Outcome(name, found, None, modelset.forget(tree, name), "absent")


def _known(tree: Tree, request: Request) -> ModelSet | None:
    known = modelset.load(tree, request.name)
    return known if known and known.request == request.identity() else None


def _in_place(request: Request) -> ModelSet:
    paths = list(modelsource.local(request))
    headers = [gguf.read_header(path) for path in paths]
    files = tuple(modelset.look(path, sha256_of(path)) for path in paths)
    modelsource.check_checksum(request, {file.path: file.sha256 for file in files})
    return _set(request, None, files, headers)


def _fetched(tree: Tree, request: Request, options: Options) -> ModelSet:
    revision, items = modelsource.items(tree, request, options)
    promised = _promised(request, revision, items)
    modelset.check_free(tree, promised)
    missing = [item for item in items if not _is_there(item)]
    home = modelsource.home(tree, request)
    _make_folder(tree, home)
    _sweep(home)
    download.check_space(home, sum(item.size for item in missing))
    stage = os.path.join(home, f"{_PART}{request.name}")
    try:
        staged = {item.path: _staged(item, os.path.join(stage, str(number))) for number, item in enumerate(missing)}
        headers = [gguf.read_header(staged.get(item.path, item.path)) for item in items]
        found = _set(request, revision, promised.files, headers)
        for path, source in staged.items():
            _settle(tree, source, path)
    finally:
        _sweep(home)
    return modelset.stamped(found)


def _promised(request: Request, revision: str | None, items: list[Item]) -> ModelSet:
    return _set(request, revision, tuple(ModelFile(item.path, item.size, item.sha256) for item in items))


def _set(
    request: Request, revision: str | None, files: tuple[ModelFile, ...], headers: list[gguf.Header] | None = None
) -> ModelSet:
    """The set of these files, in order; with headers, also what they say."""
    if headers:
        modelset.check_headers(headers)
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


def _is_there(item: Item) -> bool:
    if not os.path.isfile(item.path) or (item.size and os.path.getsize(item.path) != item.size):
        return False
    return sha256_of(item.path) == item.sha256


def _staged(item: Item, folder: str) -> str:
    """Fetch a file into a folder of its own; returns its path, its content proven."""
    os.makedirs(folder)
    path, digest = item.get(folder)
    if digest != item.sha256:
        raise Untrusted(
            f"What came for {item.path} has the SHA-256 {digest}; {item.sha256} was promised.",
            "Check the source and the checksum. Nothing was kept.",
        )
    return path


def _settle(tree: Tree, source: str, path: str) -> None:
    """Move a proven file to its final place, with the rights of a model."""
    _make_folder(tree, os.path.dirname(path))
    handle = os.open(source, os.O_RDONLY)
    try:
        os.fchmod(handle, 0o640 if tree.system else 0o644)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(source, path)


def _make_folder(tree: Tree, path: str) -> None:
    """Create a folder below `models`; in the system scope it inherits the group of the readers."""
    if os.path.isdir(path):
        return
    _make_folder(tree, os.path.dirname(path))
    os.mkdir(path)
    os.chmod(path, 0o2750 if tree.system else 0o755)


def _sweep(home: str) -> None:
    """Remove what this run, or a killed one, staged."""
    for name in os.listdir(home):
        if name.startswith(_PART):
            shutil.rmtree(os.path.join(home, name), ignore_errors=True)


def _prune(tree: Tree, folder: str) -> None:
    """Remove a folder and its parents below `models` as long as they are empty."""
    while folder.startswith(tree.models + os.sep):
        try:
            os.rmdir(folder)
        except OSError:
            return
        folder = os.path.dirname(folder)
