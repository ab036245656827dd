# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The geometry of models, wherever they are: fetched already, in a file, on the hub or on a web server."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .. import gguf
from ..build import tinymodel
from ..gguf import Header, geometry
from ..gguf import remote as gguf_remote
from ..names import NAME
from ..tree import Tree
from ..web import Remote
from . import modelchoice, modelref, modelset
from .hub import Hub
from .modelchoice import DRAFT, MMPROJ, MODEL, Entry
from .modelref import Request


def read(requests: Sequence[Request], tree: Tree | None, hub: Hub, remote: bool) -> tuple[dict[str, Any], list[str]]:
    """`{name: {header, draft, mmproj, size}}` of the models that were found, and the names of the others.

    `header` and `draft` are packed headers, `mmproj` and `size` bytes of the projector and of all files.

    :param tree: a root whose fetched sets count, if there is one. :param remote: ask servers too.
    :raises InvalidInput: a source does not name exactly one model. :raises Unreachable: a server does not give it.
    :raises Untrusted: a header is damaged or hostile.
    """
    found = {request.name: _of(request, tree, hub, remote) for request in requests}
    return {name: value for name, value in found.items() if value}, [name for name, value in found.items() if not value]


def _of(request: Request, tree: Tree | None, hub: Hub, remote: bool) -> dict[str, Any] | None:
    fetched = modelset.load(tree, request.name) if tree and NAME.fullmatch(request.name) else None
    complete = fetched is not None and all(os.path.exists(file.path) for file in fetched.files)
    if fetched is not None and complete and fetched.request == request.identity():
        files = [(file.role, file.size, gguf.read_header(file.path)) for file in fetched.files]
        return _packed(files)
    source = request.source
    if source.kind == modelref.BUILTIN:
        content = tinymodel.content()
        return _packed([(MODEL, len(content), gguf.parse(io.BytesIO(content).read))])
    if source.kind == modelref.FILE:
        return _local(request) if os.path.exists(source.location) else None
    if not remote:
        return None
    if source.kind == modelref.URL:
        header = gguf_remote.read_header(Remote(source.location, str(source)))
        return _packed([(MODEL, header.size, header)])
    commit, listing = hub.listing(source.location, request.revision)
    where = f"{source.location} at {request.revision or commit}"
    parts = modelchoice.parts(where, listing, request)
    return _packed([(role, entry.size, hub.header(source.location, commit, entry)) for role, entry in parts])


def _local(request: Request) -> dict[str, Any]:
    """A file and its other shards; a projector and a draft where they are named."""
    folder, name = os.path.split(request.source.location)
    beside = [Entry(entry.name, entry.stat().st_size) for entry in os.scandir(folder) if entry.is_file()]
    paths = [(MODEL, os.path.join(folder, entry.path)) for entry in modelchoice.group(folder, beside, name)]
    for role, path in ((MMPROJ, request.mmproj), (DRAFT, request.draft)):
        if path and os.path.isabs(path) and os.path.exists(path):
            paths.append((role, path))
    return _packed([(role, os.path.getsize(path), gguf.read_header(path)) for role, path in paths])


def _packed(files: Sequence[tuple[str, int, Header]]) -> dict[str, Any]:
    drafts = [header for role, _size, header in files if role == DRAFT]
    return {
        "header": geometry.pack(_whole([header for role, _size, header in files if role == MODEL])),
        "draft": geometry.pack(_whole(drafts)) if drafts else None,
        "mmproj": sum(size for role, size, _header in files if role == MMPROJ),
        "size": sum(size for _role, size, _header in files),
    }


def _whole(headers: Sequence[Header]) -> Header:
    """The shards of a model as one header."""
    modelset.check_shards(headers)
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    return replace(headers[0], tensors=tensors, size=sum(header.size for header in headers))
