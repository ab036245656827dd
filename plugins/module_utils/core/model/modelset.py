# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Model sets on a host: what was fetched, recorded in one small lock file a set, and whether it is still there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .. import schema
from ..errors import InvalidInput, Untrusted
from ..files import read_json, remove_file, sha256_of, write_json
from ..gguf import Header
from ..names import check_name
from ..tree import Tree
from .modelchoice import DRAFT, MMPROJ, MODEL
from .modelref import AUTO

SCHEMA = 1
PROJECTOR = "clip"  # tools/mtmd/clip.cpp of llama.cpp: the architecture every mmproj file names


@dataclass(frozen=True)
class ModelFile:
    """A file as it was when it was proven: absolute path, bytes, SHA-256 in hex, and what shows an untouched file.

    Roles are those of `modelchoice`: the model itself, its multimodal projector, its draft. `name` is the file's usual
    name below a store, such as `owner/repo/file.gguf`; empty for a local file.
    """

    path: str
    size: int
    sha256: str
    mtime_ns: int = 0
    inode: int = 0
    role: str = MODEL
    name: str = field(default="", compare=False)


@dataclass(frozen=True)
class ModelSet:
    """One model as launched. `path` is its first shard; `request` is what was asked for (`Request.identity`)."""

    name: str
    source: str
    path: str
    files: tuple[ModelFile, ...]
    architecture: str
    context_length: int | None = None
    parameters: int | None = None
    revision: str | None = None
    request: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mmproj(self) -> str | None:
        """The path of the multimodal projector."""
        return self._first(MMPROJ)

    @property
    def draft(self) -> str | None:
        """The path of the draft model, its first shard."""
        return self._first(DRAFT)

    def _first(self, role: str) -> str | None:
        return next((file.path for file in self.files if file.role == role), None)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def in_place(self) -> bool:
        """True for a local file that was recorded where it lies."""
        return self.source.startswith("/")

    def facts(self) -> dict[str, Any]:
        """What is known of the set, for people; without what only tells a touched file."""
        files = [
            {"path": file.path, "size": file.size, "sha256": file.sha256, "role": file.role} for file in self.files
        ]
        request = {key: value for key, value in self.request.items() if value}
        known = {**asdict(self), "files": files, "request": request, "mmproj": self.mmproj, "draft": self.draft}
        return {key: value for key, value in known.items() if value not in (None, "")}

    def content(self) -> list[tuple[str, str]]:
        """Paths and SHA-256 of the files: what is there, whatever was asked for."""
        return [(file.path, file.sha256) for file in self.files]

    def pin(self) -> dict[str, Any]:
        """The entry of an inventory that brings exactly these files again."""
        model = [file.sha256 for file in self.files if file.role == MODEL]
        found = {key: self.request.get(key) for key in ("files", "mmproj", "draft")}
        if self.request.get("mmproj") == AUTO and self.mmproj:
            found["mmproj"] = self.mmproj if self.in_place else self.below_home(self.mmproj)
        found.update(source=self.source, revision=self.revision, checksum=f"sha256:{model[0]}")
        if len(model) > 1:
            del found["checksum"]
        return {key: value for key, value in found.items() if value}

    def below_home(self, path: str) -> str:
        """The path of a file in its repository, which it keeps below `models/<owner>/<repo>`."""
        return path.split(f"/{self.source.split(':')[0]}/", 1)[-1]

    def resolved(self) -> dict[str, Any]:
        """Which bytes the set is, for other hosts (see `promise.read`), and where they lie here."""
        keys = ("name", "path", "size", "sha256", "role")
        files = [{key: getattr(file, key) for key in keys} for file in self.files]
        return {"source": self.source, "revision": self.revision, "files": files}

    def record(self) -> dict[str, Any]:
        """The content of the lock file."""
        return {"schema": SCHEMA, **asdict(self)}


def load(tree: Tree, name: str) -> ModelSet | None:
    """The recorded set of this name; None when there is none, or its lock file cannot be understood.

    :raises InvalidInput: the name cannot be one, or a newer version of the collection wrote the file.
    """
    return _read(_lock_file(tree, check_name("model", name)))


def load_all(tree: Tree) -> list[ModelSet]:
    """All recorded sets, by name."""
    try:
        names = sorted(os.listdir(tree.sets))
    except FileNotFoundError:
        return []
    found = [_read(os.path.join(tree.sets, name)) for name in names if name.endswith(".json")]
    return [item for item in found if item]


def is_recorded(tree: Tree, name: str) -> bool:
    """True when the set has a lock file, even one that cannot be understood."""
    return os.path.exists(_lock_file(tree, name))


def save(tree: Tree, found: ModelSet) -> None:
    write_json(_lock_file(tree, found.name), found.record())


def forget(tree: Tree, name: str) -> bool:
    """Remove the lock file of a set. True if it was there."""
    return remove_file(_lock_file(tree, name))


def look(path: str, sha256: str, role: str = MODEL, name: str = "") -> ModelFile:
    """A file as it is now, whose SHA-256 the caller knows."""
    state = os.stat(path)
    return ModelFile(path, state.st_size, sha256, state.st_mtime_ns, state.st_ino, role, name)


def again(file: ModelFile) -> ModelFile:
    """The same file as it is now; its content is not looked at."""
    return look(file.path, file.sha256, file.role, file.name)


def stamped(found: ModelSet) -> ModelSet:
    """The set with sizes, times and inodes of its files as they are now; their content has just been proven."""
    return replace(found, files=tuple(again(file) for file in found.files))


def refreshed(found: ModelSet, verify: bool = False) -> ModelSet:
    """The set with its files as they are now, all proven unchanged.

    A file whose size, time and inode are as recorded is believed; another one is hashed, and with `verify` all are.

    :raises Untrusted: a file is missing or has another content; names what was found and what was recorded.
    """
    return replace(found, files=tuple(_refreshed(found, file, verify) for file in found.files))


def check(found: ModelSet) -> None:
    """Make sure that the files of a set are those that were proven.

    :raises Untrusted: a file is missing or has another content.
    """
    refreshed(found)


def _refreshed(found: ModelSet, file: ModelFile, verify: bool) -> ModelFile:
    remedy = (
        "Put it back, or remove the model (state: absent) and add it again to accept what is there now."
        if found.in_place
        else f"Run gguf_model (playbooks/models.yml) to bring the model {found.name!r} back."
    )
    try:
        now = again(file)
    except (FileNotFoundError, NotADirectoryError):
        raise Untrusted(f"{file.path} of the model {found.name!r} is missing.", remedy) from None
    if now.size != file.size:
        raise Untrusted(
            f"{file.path} of the model {found.name!r} has {now.size} bytes; {file.size} were recorded.", remedy
        )
    if now == file and not verify:
        return now
    digest = sha256_of(file.path)
    if digest != file.sha256:
        raise Untrusted(
            f"{file.path} of the model {found.name!r} has the SHA-256 {digest}; {file.sha256} was recorded.", remedy
        )
    return now


def check_headers(headers: Sequence[Header]) -> None:
    """Make sure that these headers, in order, are all shards of one model.

    :raises Untrusted: one is missing, misplaced or from another model, or they hold no model.
    """
    check_shards(headers)
    architecture = headers[0].architecture
    if architecture in ("", PROJECTOR):
        said = "no architecture" if not architecture else f"the architecture {architecture!r}, a projector"
        raise Untrusted(f"The header names {said}.", "Choose a GGUF file that holds a model.")


def check_shards(headers: Sequence[Header]) -> None:
    """Make sure that these headers, in order, are all shards of one file.

    :raises Untrusted: one is missing, misplaced or from another one.
    """
    for number, header in enumerate(headers):
        count = header.number("split.count") or 1
        place = header.number("split.no") or 0
        if (place, count) != (number, len(headers)):
            raise Untrusted(
                f"File {number + 1} of {len(headers)} says it is shard {place + 1} of {count}.",
                "Give all shards of one model, or the one file that holds it all.",
            )
    promised = headers[0].number("split.tensors.count")
    there = sum(len(header.tensors) for header in headers)
    if promised is not None and promised != there:
        raise Untrusted(f"The shards hold {there} tensors; the first one promises {promised}.")


def check_projector(header: Header) -> None:
    """Make sure that a header is that of a multimodal projector.

    :raises Untrusted: it is something else.
    """
    if header.architecture != PROJECTOR:
        raise Untrusted(
            f"The header of the projector names the architecture {header.architecture!r} instead of {PROJECTOR!r}.",
            "Choose an mmproj file.",
        )


def check_free(tree: Tree, wanted: ModelSet) -> None:
    """Make sure that no other set needs other bytes under the same paths.

    :raises InvalidInput: names the other set and the file.
    """
    digests = {file.path: file.sha256 for file in wanted.files}
    for other in load_all(tree):
        for file in other.files:
            if other.name != wanted.name and digests.get(file.path, file.sha256) != file.sha256:
                raise InvalidInput(
                    f"{file.path} belongs to the model {other.name!r} (revision {other.revision}) with another content "
                    f"than {wanted.name!r} needs (revision {wanted.revision}).",
                    "Give both models the same revision, or remove the other one first (state: absent).",
                )


def unshared(tree: Tree, found: ModelSet, folders: Sequence[str]) -> list[str]:
    """The files of this set in these folders that no other set uses; never a local file used in place."""
    if found.in_place:
        return []
    kept = {file.path for other in load_all(tree) if other.name != found.name for file in other.files}
    below = tuple(folder + os.sep for folder in folders)
    return [file.path for file in found.files if file.path.startswith(below) and file.path not in kept]


def _lock_file(tree: Tree, name: str) -> str:
    return os.path.join(tree.sets, f"{name}.json")


def _read(path: str) -> ModelSet | None:
    record = schema.read(read_json(path), SCHEMA, path)
    if record is None:
        return None
    values = {key: value for key, value in record.items() if key not in ("schema", "files")}
    try:
        return ModelSet(files=tuple(ModelFile(**file) for file in record["files"]), **values)
    except (KeyError, TypeError):
        return None
