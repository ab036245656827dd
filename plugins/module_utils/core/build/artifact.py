# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A build as one file for other hosts: `<build id>.tar.gz` with what the manifest lists, and nothing else."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from .. import unpack
from ..errors import InvalidInput, Untrusted
from ..files import read_json, remove_file, sha256_of, write_json
from ..model import download
from ..tree import Tree
from ..web import Remote
from . import builds, index, recipe
from .builds import Build
from .source import Source

MANIFEST = "manifest.json"
RECEIVED = "received.json"  # beside the manifest of a build that came as an artifact: where from, and its own proof
MOST_BYTES = 16 << 30
_LEVEL = 6


@dataclass(frozen=True)
class Packed:
    """An artifact on this host: its file, SHA-256 (hex) and size in bytes."""

    path: str
    sha256: str
    size: int


def pack(tree: Tree, build: Build, folder: str | None = None) -> Packed:
    """Pack a build. The same build gives the same bytes on one host, whoever packs it and whenever.

    :param folder: where the file shall be; `artifacts` of the root, if not given.
    :raises Untrusted: a file of the build is not what the manifest says.
    """
    build.verify()
    folder = folder or tree.path("artifacts")
    os.makedirs(folder, 0o755, exist_ok=True)
    path = os.path.join(folder, f"{build.id}.tar.gz")
    partial = f"{path}.{os.getpid()}"
    try:
        with open(partial, "wb") as raw:
            with gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed:
                _write(build, packed)
            raw.flush()
            os.fsync(raw.fileno())
        os.replace(partial, path)
    finally:
        remove_file(partial)
    return Packed(path, sha256_of(path), os.stat(path).st_size)


def _write(build: Build, target: gzip.GzipFile) -> None:
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in [MANIFEST, *sorted(build.manifest["files"])]:
            path = os.path.join(build.folder, name)
            member = tarfile.TarInfo(f"{build.id}/{name}")
            state = os.stat(path)
            member.size, member.mode = state.st_size, 0o755 if state.st_mode & 0o100 else 0o644
            with open(path, "rb") as file:
                tar.addfile(member, file)


def find(known: Sequence[Build], source: Source) -> Build | None:
    """The whole build that an artifact would bring: the one with its id, or the one that it brought before."""
    for build in known:
        said = read_json(os.path.join(build.folder, RECEIVED))
        brought = source.checksum is not None and isinstance(said, dict) and said.get("sha256") == source.checksum
        if (build.id == source.build or brought) and build.whole():
            return build
    return None


def fetch(source: Source, folder: str) -> IO[bytes]:
    """The bytes of an artifact, proven by its checksum, in a file of `folder` that nobody else can write.

    :raises InvalidInput: `source.path` cannot be read. :raises Unreachable: the URL gives nothing.
    :raises Untrusted: other bytes than the checksum says.
    """
    path = os.path.join(folder, "artifact.tar.gz")
    if source.url:
        plain, headers = index.authorise(source.url)
        shown = index.shown(source.url)
        found = download.resume(Remote(plain, shown, headers), path, 0, download.Patience())
    else:
        shown, found = str(source.path), _copy(str(source.path), path)
    if found != source.checksum:
        raise Untrusted(
            f"The artifact {shown} has the SHA-256 {found}; {source.checksum} was asked for.",
            "Nothing was installed. Check the checksum, or have the artifact made again.",
        )
    return open(path, "rb")


def _copy(path: str, target: str) -> str:
    """Copy a file; returns its SHA-256."""
    digest = hashlib.sha256()
    try:
        source = open(path, "rb")  # noqa: SIM115  closed below; only opening it may fail as said
    except OSError as exc:
        raise InvalidInput(f"The artifact {path} cannot be read: {exc.strerror}.") from exc
    with source, open(target, "wb") as copy:
        while block := source.read(1 << 20):
            digest.update(block)
            copy.write(block)
    return digest.hexdigest()


def extract(archive: IO[bytes], folder: str) -> tuple[str, dict[str, Any]]:
    """Unpack an artifact into a new folder; returns the folder of the build in it, and its manifest.

    :raises Untrusted: it is no artifact, or its files are not what its manifest says.
    """
    unpack.extract(archive, folder, size=MOST_BYTES)
    names = os.listdir(folder)
    inner = os.path.join(folder, names[0]) if len(names) == 1 else folder
    manifest = read_json(os.path.join(inner, MANIFEST))
    build_id = manifest.get("id") if isinstance(manifest, dict) else None
    if not isinstance(manifest, dict) or names != [build_id] or not _is_sound(manifest):
        raise Untrusted("The artifact is none: it has no folder of one build with a manifest of this schema.")
    there = {os.path.relpath(os.path.join(path, name), inner) for path, _no, files in os.walk(inner) for name in files}
    if there != {MANIFEST, *manifest["files"]}:
        odd = sorted(there ^ {MANIFEST, *manifest["files"]})
        raise Untrusted(f"The artifact and its manifest list different files: {', '.join(odd[:5])}.")
    Build(str(build_id), inner, manifest).verify()
    os.makedirs(os.path.join(inner, "lib"), exist_ok=True)
    return inner, manifest


def _is_sound(manifest: Mapping[str, Any]) -> bool:
    """A manifest that we wrote: its id follows from its recipe, so that no artifact can pose as another build."""
    try:
        build_id = recipe.build_id(manifest["version"], manifest["recipe"])
        return bool(manifest["schema"] == builds.SCHEMA and manifest["id"] == build_id)
    except (KeyError, TypeError, AttributeError, ValueError):
        return False


def note(folder: str, source: Source, size: int, proof: Mapping[str, Any]) -> None:
    """Leave beside the manifest what was received, so that the same artifact is not fetched again."""
    shown = index.shown(source.url) if source.url else None
    record = {"sha256": source.checksum, "size": size, "smoke": dict(proof), **({"url": shown} if shown else {})}
    write_json(os.path.join(folder, RECEIVED), json.loads(json.dumps(record)))
