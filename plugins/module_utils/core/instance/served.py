# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files an instance serves: its model, projector, draft and adapters, found on this host."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass

from .. import gguf
from ..errors import InvalidInput, Prerequisite
from ..model import modelset
from ..tree import Tree
from . import spec
from .definition import NO_MMPROJ, Instance
from .lora import Lora


@dataclass(frozen=True)
class Served:
    """Sets of files as found; paths are absolute. `lora` has paths in place of names."""

    model: modelset.ModelSet
    mmproj: str | None = None
    draft: str | None = None
    lora: tuple[Lora, ...] = ()
    others: tuple[modelset.ModelSet, ...] = ()

    @property
    def folders(self) -> tuple[str, ...]:
        """Where the files lie: the folders that the command names, and behind links those that hold them."""
        paths = [
            path for path in (self.model.path, self.mmproj, self.draft, *[item.file for item in self.lora]) if path
        ]
        return tuple(dict.fromkeys(os.path.dirname(path) for path in [*paths, *map(os.path.realpath, paths)]))

    @property
    def size(self) -> int:
        """Bytes that a start reads."""
        return self.model.size + sum(item.size for item in self.others)

    @property
    def content(self) -> str:
        """What changes when the bytes of a file do: SHA-256 of all files, or size and time of bare ones."""
        used = [self.model, *self.others]
        seen = [file.sha256 or f"{file.size}:{file.mtime_ns}" for item in used for file in item.files]
        return seen[0] if len(seen) == 1 else digest(seen)


def find(tree: Tree, item: Instance, headers: bool = True) -> Served:
    """The files of an instance (or of a model of a router), all proven to be there.

    :param headers: read the header of the model where only its file is named.
    :raises Prerequisite: a model set is not on this host yet.
    :raises InvalidInput: a file is missing, or a set lacks what is asked of it.
    :raises Untrusted: a file is damaged.
    """
    model = _look(tree, item, item.model, headers)
    others: list[modelset.ModelSet] = []

    def path_of(name: str) -> str:
        others.append(_look(tree, item, name))
        return others[-1].path

    mmproj = None
    if item.mmproj != NO_MMPROJ:
        mmproj = path_of(item.mmproj) if item.mmproj else model.mmproj
    draft = None
    if item.spec and item.spec.draft == spec.OF_SET:
        draft = model.draft
        if draft is None:
            raise InvalidInput(
                f"Instance {item.name!r}: the model {item.model!r} was fetched without a draft.",
                "Give its draft in llama_models, or name another one in spec.draft.",
            )
    elif item.spec and item.spec.draft not in ("", spec.OWN):
        draft = path_of(item.spec.draft)
    lora = tuple(Lora(path_of(adapter.file), adapter.scale) for adapter in item.lora)
    return Served(model, mmproj, draft, lora, tuple(others))


def digest(value: object) -> str:
    """A short name for a value, the same for equal values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _look(tree: Tree, item: Instance, name: str, headers: bool = False) -> modelset.ModelSet:
    if not name.startswith("/"):
        found = modelset.load(tree, name)
        if found is None:
            raise Prerequisite(
                f"Instance {item.name!r} names the model {name!r}, which is not on this host.",
                "Put it into llama_models and run gguf_model (playbooks/models.yml) first.",
            )
        modelset.check(found)
        return found
    if not os.path.isfile(name):
        raise InvalidInput(f"Instance {item.name!r}: there is no file {name}.")
    return _file(name, headers)


def _file(path: str, headers: bool) -> modelset.ModelSet:
    """A bare file as a set of one; hashing it at every run would be slow."""
    header = gguf.read_header(path) if headers else None
    return modelset.ModelSet(
        name=path,
        source=path,
        path=path,
        files=(modelset.look(path, sha256=""),),
        architecture=header.architecture if header else "",
        context_length=header.context_length if header else None,
    )
