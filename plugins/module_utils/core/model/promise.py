# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bytes a model source means, as another host or a bundle found out, so that nobody has to be asked. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput
from ..names import check_name
from .modelchoice import DRAFT, MMPROJ, MODEL, Entry
from .modelref import HUB, Request, is_safe_path

_REVISION, _DIGEST = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
_MOST_FILES, _LARGEST = 1000, 1 << 50


@dataclass(frozen=True)
class Promise:
    """One set elsewhere: its source as shown, the full commit (None without a hub), and role and entry of each file.

    The path of an entry is the file's usual name below a store.
    """

    source: str
    revision: str | None
    files: tuple[tuple[str, Entry], ...]


def read(value: object) -> dict[str, Promise]:
    """Promises by the name of their set: `{name: {source, revision, files: [{name, size, sha256, role}]}}`.

    :raises InvalidInput: it is something else; names the set.
    """
    if not isinstance(value, Mapping):
        raise InvalidInput("What is resolved must be a dictionary of model sets.")
    return {check_name("model", name): _promise(str(name), item) for name, item in value.items()}


def check(request: Request, promise: Promise) -> None:
    """Make sure that a promise can be what is asked for.

    :raises InvalidInput: it is for another source, revision or folder.
    """
    asked = request.revision if request.revision and _REVISION.fullmatch(request.revision) else promise.revision
    home = f"{request.source.location}/" if request.source.kind == HUB else "url/"
    if promise.source != str(request.source) and request.source.kind == HUB:
        found = promise.source
    elif asked != promise.revision:
        found = f"revision {promise.revision}"
    elif not all(entry.path.startswith(home) for _role, entry in promise.files):
        found = promise.files[0][1].path
    else:
        return
    raise InvalidInput(
        f"Model {request.name!r} is {request.source} at {request.revision or 'any revision'}; {found} was resolved.",
        "Give one name to one model on all hosts, or resolve the models again.",
    )


def _promise(name: str, item: object) -> Promise:
    where = f"What is resolved for the model {name!r}"
    if not isinstance(item, Mapping) or not isinstance(item.get("files"), list):
        raise InvalidInput(f"{where} has no list of files.")
    revision = item.get("revision") or None
    if revision is not None and not (isinstance(revision, str) and _REVISION.fullmatch(revision)):
        raise InvalidInput(f"{where} has the revision {str(revision)[:80]!r}; a full commit is needed.")
    files = tuple(_file(where, each) for each in item["files"][:_MOST_FILES])
    if not files or files[0][0] != MODEL:
        raise InvalidInput(f"{where} does not begin with a file of the model.")
    return Promise(str(item.get("source") or ""), revision, files)


def _file(where: str, item: Any) -> tuple[str, Entry]:
    name, size, digest, role = (
        (item.get(key) for key in ("name", "size", "sha256", "role")) if isinstance(item, Mapping) else (None,) * 4
    )
    right = is_safe_path(name) and isinstance(size, int) and 0 < size < _LARGEST
    if not right or not _DIGEST.fullmatch(str(digest)) or role not in (MODEL, MMPROJ, DRAFT):
        raise InvalidInput(f"{where} has a file that cannot be one: {str(item)[:200]}.")
    return str(role), Entry(str(name), int(str(size)), str(digest))
