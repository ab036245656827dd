# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the headers of a plan come from: files of this host, a model set of its root, or a hub that is only asked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput, Prerequisite
from ..gguf import Header
from ..model import modelchoice, modelinfo, modelref, modelset
from ..model.hub import Hub
from ..model.modelref import Request
from ..model.modelset import ModelSet
from ..tree import Tree
from . import shards

_SET = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_NAME = "model"  # of an entry that has none: it stands in messages alone


@dataclass(frozen=True)
class Origin:
    """What a plan reads.

    :param header: of the model, its shards as one; :param path: of its first file, None where it is not on this host;
    :param mmproj: bytes of the projector's file; :param draft: the draft's header.
    """

    header: Header
    path: str | None = None
    mmproj: int = 0
    draft: Header | None = None


@dataclass(frozen=True)
class Wanted:
    """What a plan is asked for: a path, the name of a set, a reference, or an entry as `gguf_model` takes and pins it.

    :param mmproj: a path, `auto`, or a file of the repository; :param draft: a path, a file of the repository, or a
        reference.
    """

    model: Any
    revision: str | None = None
    mmproj: str | None = None
    draft: str | None = None


def is_path(value: object) -> bool:
    return isinstance(value, str) and os.path.isabs(value)


def needs_hub(wanted: Wanted, tree: Tree | None) -> bool:
    """Whether the hub's client is needed: something is a reference that no set of the root is for."""
    if _recorded(wanted, tree) is not None or is_path(wanted.model):
        return wanted.draft is not None and not is_path(wanted.draft)
    return _request(wanted).source.kind == modelref.HUB


def find(wanted: Wanted, tree: Tree | None, hub: Hub) -> Origin:
    """The headers.

    :raises InvalidInput: what is asked for is not clear. :raises Prerequisite: there is no set of that name.
    :raises Unreachable: a server does not answer. :raises Untrusted: a header is damaged.
    """
    if is_path(wanted.model):
        return Origin(shards.read(wanted.model), wanted.model, _size(wanted.mmproj), _draft(wanted.draft, hub))
    found = _recorded(wanted, tree)
    if found is not None:
        mmproj, draft = wanted.mmproj, wanted.draft or found.draft
        if mmproj in (None, modelref.AUTO):
            mmproj = found.mmproj
        return Origin(shards.read(found.path), found.path, _size(mmproj), _draft(draft, hub))
    return _asked(_request(wanted), wanted, hub)


def _recorded(wanted: Wanted, tree: Tree | None) -> ModelSet | None:
    """The set of the root that is meant by its name, or by the reference that it was fetched by."""
    model = wanted.model
    if isinstance(model, str) and _SET.fullmatch(model):
        if tree is None:
            raise InvalidInput(f"The model set {model!r} needs a root, in which its lock file lies.", "Set root.")
        found = modelset.load(tree, model)
        if found is None:
            raise Prerequisite(
                f"There is no model set {model!r} in {tree.root}.",
                "Fetch it with gguf_model, or give a path or a reference such as owner/repo:Q4_K_M.",
            )
        return found
    if tree is None or is_path(model):
        return None
    request = _request(wanted)
    same = [found for found in modelset.load_all(tree) if found.source == str(request.source)]
    if request.revision:
        same = [found for found in same if request.revision in (found.revision, found.request.get("revision"))]
    if request.files:
        same = [found for found in same if tuple(found.request.get("files") or ()) == request.files]
    return same[0] if len(same) == 1 else None


def _request(wanted: Wanted) -> Request:
    model = wanted.model
    entry: dict[str, Any] = dict(model) if isinstance(model, Mapping) else {"source": model}
    if "ref" in entry:
        entry["source"] = entry.pop("ref")
    if wanted.revision:
        entry["revision"] = wanted.revision
    entry["name"] = entry.get("name") or _NAME
    if str(entry.get("source")).startswith("https://"):
        entry.setdefault("checksum", "0" * 64)  # only the header is read, nothing is kept
    return modelref.request(entry)


def _asked(request: Request, wanted: Wanted, hub: Hub) -> Origin:
    """By requests for the headers alone."""
    found = modelinfo.headers(request.source, request.files, request.revision, hub)
    mmproj, draft = wanted.mmproj or request.mmproj, wanted.draft or request.draft
    mmproj, draft = (None if part == modelref.NONE else part for part in (mmproj, draft))
    path = request.source.location if request.source.kind == modelref.FILE else None
    header = shards.joined(found.headers)
    if request.source.kind != modelref.HUB:
        return Origin(header, path, _size(mmproj), _draft(draft, hub))
    size, drafts = 0, None
    if is_path(mmproj):
        size = _size(mmproj)
    elif mmproj:
        commit, listing = hub.listing(request.source.location, found.revision)
        first = next(entry for entry in listing if entry.path == found.files[0]["path"])
        size = modelchoice.projector(f"{request.source} at {commit}", listing, first, mmproj).size
    if draft and draft.lower().endswith(".gguf") and not is_path(draft):
        of_repository = modelinfo.headers(
            modelref.Source(modelref.HUB, request.source.location), [draft], found.revision, hub
        )
        drafts = shards.joined(of_repository.headers)
    else:
        drafts = _draft(draft, hub)
    return Origin(header, None, size, drafts)


def _draft(draft: str | None, hub: Hub) -> Header | None:
    if not draft or draft == modelref.NONE:
        return None
    if is_path(draft):
        return shards.read(draft)
    return shards.joined(modelinfo.headers(modelref.parse(draft), (), None, hub).headers)


def _size(path: str | None) -> int:
    """Bytes of a projector's file."""
    if not path or path == modelref.NONE:
        return 0
    if not is_path(path):
        raise InvalidInput(f"The projector {path!r} is no absolute path.", "Name its file.")
    if not os.path.isfile(path):
        raise InvalidInput(f"There is no projector {path}.", "Name its file.")
    return os.path.getsize(path)
