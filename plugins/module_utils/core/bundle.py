# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder that brings models, Python packages and builds to hosts without a network.

    bundle.json     what is in it: every file with size and SHA-256, and which bytes each model set is
    models/         laid out like a store
    wheels/         packages of the managed virtual environment
    artifacts/      whatever else was put in, packed builds for example

Only who knows the SHA-256 of `bundle.json` believes it; every file is compared with it when it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import command
from .build import artifact, builds
from .build.builds import Build
from .errors import InvalidInput, Prerequisite, Untrusted
from .files import remove_file, sha256_of, write_json
from .model import download, modelset
from .model.modelref import is_safe_path
from .tree import Tree

SCHEMA = 1
MODELS, WHEELS, ARTIFACTS = "models", "wheels", "artifacts"
_LARGEST = 16 << 20  # bytes of bundle.json
_UNKNOWN = {"size": 0, "sha256": ""}  # of a build that is not packed yet
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


@dataclass(frozen=True)
class Wanted:
    """What a bundle shall hold: model sets by name, requirements, Python versions they are for, further files, and
    builds by id (`active` is the active one).
    """

    models: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    builds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bundle:
    """A bundle whose description was found to be the one that was promised."""

    folder: str
    said: Mapping[str, Any]

    @property
    def models(self) -> Mapping[str, Any]:
        """What `promise.read` takes."""
        return dict(self.said["models"])

    @property
    def mirror(self) -> str:
        return os.path.join(self.folder, MODELS)

    def files(self, part: str) -> list[str]:
        """The names of its files below `models`, `wheels` or `artifacts`, with that folder."""
        return sorted(name for name in self.said["files"] if name.startswith(f"{part}/"))

    def artifact(self, build: str | None = None, checksum: str | None = None) -> tuple[str, str]:
        """The path and the SHA-256 of a packed build or source: the one that is meant, or the only one.

        :param build: id of a build, in the file of that name. :param checksum: its SHA-256.
        :raises Prerequisite: there is none, or there are several.
        """
        there = {name: str(self.said["files"][name]["sha256"]) for name in self.files(ARTIFACTS)}
        found = [
            name
            for name, digest in there.items()
            if build in (None, os.path.basename(name)[: -len(".tar.gz")]) and checksum in (None, digest)
        ]
        if len(found) != 1:
            meant = build or checksum or "one artifact"
            raise Prerequisite(
                f"The bundle {self.folder} should have {meant} and has {', '.join(sorted(there)) or 'no artifact'}.",
                "Say with source.build or source.checksum which is meant, or write the bundle with it in artifacts.",
            )
        return os.path.join(self.folder, found[0]), there[found[0]]

    def take(self, name: str, target: str) -> None:
        """Copy a file to a path that only its reader can write.

        :raises Untrusted: it is not there, or not what the bundle promised.
        """
        source = os.path.join(self.folder, name)
        remove_file(target)
        found = download.copy(source, target) if os.path.isfile(source) else "none"
        if found != self.said["files"][name]["sha256"]:
            remove_file(target)
            raise Untrusted(
                f"{source} has the SHA-256 {found}; the bundle promises {self.said['files'][name]['sha256']}.",
                "Copy the bundle again.",
            )


def read(folder: str, sha256: str | None) -> Bundle:
    """A bundle that is believed.

    :param sha256: of its `bundle.json`, as whoever wrote it was told.
    :raises InvalidInput: the checksum is missing or cannot be one. :raises Prerequisite: there is no bundle.
    :raises Untrusted: it is another one, or makes no sense.
    """
    right = _DIGEST.fullmatch((sha256 or "").strip().lower())
    if not right:
        raise InvalidInput(
            "A bundle is only used if its checksum is known.", "Give the sha256 that writing it returned."
        )
    path = os.path.join(folder, "bundle.json")
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST)
    except FileNotFoundError:
        raise Prerequisite(f"There is no bundle in {folder}.", "Copy or mount it there.") from None
    found = hashlib.sha256(data).hexdigest()
    if found != right.group(1):
        raise Untrusted(f"{path} has the SHA-256 {found}; {right.group(1)} was asked for.", "It is another bundle.")
    said = _understood(data)
    if said is None:
        raise Untrusted(f"{path} is no description of a bundle that this version understands.")
    return Bundle(folder, said)


def describe(tree: Tree, folder: str, wanted: Wanted, before: Mapping[str, Any]) -> dict[str, Any]:
    """What `bundle.json` will say but for its wheels and packed builds, which are as `before` has them if they are
    there and right. Other wheels are left out, of other builds size and SHA-256 are not known yet.

    :raises Prerequisite: a model set is not recorded here.
    :raises InvalidInput: one of them is a local file, or there is no such build.
    """
    sets = [_set(tree, name) for name in wanted.models]
    files = {f"{MODELS}/{file.name}": _fact(file.size, file.sha256) for found in sets for file in found.files}
    for path in wanted.artifacts:
        if not os.path.isfile(path):
            raise InvalidInput(f"There is no file {path}.")
        files[f"{ARTIFACTS}/{os.path.basename(path)}"] = _fact(os.path.getsize(path), sha256_of(path))
    for name in _builds(tree, wanted):
        fact = before.get("files", {}).get(name)
        files[name] = fact if fact and _is(os.path.join(folder, name), fact) else _UNKNOWN
    models = {found.name: _promise(found) for found in sets}
    if (before.get("packages"), before.get("pythons")) == (list(wanted.packages), list(wanted.pythons)):
        wheels = {name: fact for name, fact in before["files"].items() if name.startswith(f"{WHEELS}/")}
        whole = all(_is(os.path.join(folder, name), fact) for name, fact in wheels.items())
        files.update(wheels if whole else {})
    return {
        "schema": SCHEMA,
        "models": models,
        "packages": list(wanted.packages),
        "pythons": list(wanted.pythons),
        "files": files,
    }


def known(folder: str) -> dict[str, Any]:
    """What the bundle says that lies there, or nothing."""
    try:
        with open(os.path.join(folder, "bundle.json"), "rb") as file:
            return _understood(file.read(_LARGEST)) or {}
    except FileNotFoundError:
        return {}


def write(tree: Tree, folder: str, wanted: Wanted) -> str:
    """Bring a bundle to what it shall hold; returns the SHA-256 of its description, which is written last.

    :raises Untrusted: a model is not what was recorded. :raises MissingTool: the disk is full.
    :raises CommandFailed: pip found no wheel of a package.
    """
    before = known(folder)
    said = describe(tree, folder, wanted, before)
    sources = {f"{MODELS}/{file.name}": file.path for name in wanted.models for file in _set(tree, name).files}
    sources.update({f"{ARTIFACTS}/{os.path.basename(path)}": path for path in wanted.artifacts})
    for name, path in sources.items():
        _put(path, os.path.join(folder, name), said["files"][name])
    for name, build in _builds(tree, wanted).items():
        if said["files"][name] is _UNKNOWN:
            packed = artifact.pack(tree, build, os.path.join(folder, ARTIFACTS))
            said["files"][name] = _fact(packed.size, packed.sha256)
    if wanted.packages and not any(name.startswith(f"{WHEELS}/") for name in said["files"]):
        said["files"].update(_wheels(tree, folder, wanted))
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "bundle.json")
    if said != before:
        write_json(path, said)
    for name in set(before.get("files", ())) - set(said["files"]):
        remove_file(os.path.join(folder, name))
    return sha256_of(path)


def _put(source: str, target: str, fact: Mapping[str, Any]) -> None:
    """Have the bytes of a file in the bundle; an interrupted copy is gone on with."""
    if _is(target, fact):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    part = f"{target}.part"
    if download.copy(source, part) != fact["sha256"]:
        remove_file(part)
        raise Untrusted(f"{source} is not what was recorded of it.", "Run gguf_model with verify, then this again.")
    os.replace(part, target)


def _wheels(tree: Tree, folder: str, wanted: Wanted) -> dict[str, dict[str, Any]]:
    """Fetch the packages and all they need from the configured index, as wheels for every Python version."""
    python = os.path.join(tree.venv, "bin", "python")
    python = python if os.path.exists(python) else sys.executable
    target = os.path.join(folder, WHEELS)
    os.makedirs(target, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as fresh:
        for version in wanted.pythons or ("",):
            argv = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"]
            argv += ["--only-binary=:all:", "--dest", fresh, *(["--python-version", version] if version else [])]
            command.run([*argv, *wanted.packages], timeout=1800)
        found = sorted(os.listdir(fresh))
        for name in found:
            os.replace(os.path.join(fresh, name), os.path.join(target, name))
    paths = {f"{WHEELS}/{name}": os.path.join(target, name) for name in found}
    return {name: _fact(os.path.getsize(path), sha256_of(path)) for name, path in paths.items()}


def stage_wheels(bundle: Bundle, folder: str) -> None:
    """Have the proven wheels of a bundle in a new folder.

    :raises Prerequisite: it has none.
    """
    names = bundle.files(WHEELS)
    if not names:
        raise Prerequisite(f"The bundle {bundle.folder} has no Python packages.", "Write it with packages.")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, 0o700)
    for name in names:
        bundle.take(name, os.path.join(folder, os.path.basename(name)))


def _set(tree: Tree, name: str) -> modelset.ModelSet:
    found = modelset.load(tree, name)
    if found is None:
        raise Prerequisite(f"The model {name!r} is not on this host.", "Bring it with gguf_model first.")
    if not all(file.name for file in found.files):
        raise InvalidInput(f"The model {name!r} is a local file.", "Put it on a web server, or into artifacts.")
    return found


def _builds(tree: Tree, wanted: Wanted) -> dict[str, Build]:
    """The wanted builds of this host, by the file that each is in a bundle."""
    active = builds.active(tree)
    ids = [active.id if active and name == "active" else name for name in wanted.builds]
    return {f"{ARTIFACTS}/{name}.tar.gz": builds.find(tree, name) for name in ids}


def _promise(found: modelset.ModelSet) -> dict[str, Any]:
    said = found.resolved()
    files = [{key: value for key, value in file.items() if key != "path"} for file in said["files"]]
    return {**said, "files": files}


def _is(path: str, fact: Mapping[str, Any]) -> bool:
    right = os.path.isfile(path) and os.path.getsize(path) == fact["size"]
    return right and sha256_of(path) == str(fact["sha256"])


def _fact(size: int, sha256: str) -> dict[str, Any]:
    return {"size": size, "sha256": sha256}


def _understood(data: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(data)
        files = said["files"]
        right = (
            said["schema"] == SCHEMA
            and isinstance(said["models"], dict)
            and all(
                is_safe_path(name) and _DIGEST.fullmatch(fact["sha256"]) and fact["size"] >= 0
                for name, fact in files.items()
            )
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return said if right else None
