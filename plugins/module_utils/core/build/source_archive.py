# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""llama.cpp from an archive, or from the source distribution of llama-cpp-python: one file with a known SHA-256."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import urllib.parse
import urllib.request
from typing import IO

from .. import files, unpack
from ..errors import InvalidInput, Untrusted
from ..model import download
from . import index
from .source import Exact, Source

PROJECT = "llama-cpp-python"
VERSION = "0.3.36"
"""The version of llama-cpp-python that is taken where none is named."""

# version of llama-cpp-python -> SHA-256 of its source distribution, and the version of llama.cpp in it
_PINNED = {VERSION: ("832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e", "0.5.0")}
_VENDORED = "vendor/llama.cpp"


def known_hash(version: str | None) -> str | None:
    """The SHA-256 of a source distribution, where it is known here."""
    return _PINNED.get(version or VERSION, (None, ""))[0]


def resolve(source: Source) -> Exact | None:
    """The exact tree of an `archive` or `sdist`; None when only a file that is not there (yet) could tell.

    :raises InvalidInput: the hash of this version is not known, or `path` cannot be read.
    """
    pinned = ("", "")
    if source.type == "sdist":
        pinned = _PINNED.get(source.version or VERSION, pinned)
        if not (source.checksum or pinned[0]):
            raise InvalidInput(
                f"The hash of {PROJECT} {source.version} is not known here.",
                f"Give source.checksum, its SHA-256, or leave source.version out to take {VERSION}.",
            )
    found = source.checksum or pinned[0] or _hash_of(source)
    version = pinned[1] if found == pinned[0] else None
    record = {"type": source.type, "kind": source.type, "sha256": found, **_named(source)}
    return Exact(f"sha256:{found}", source.type, version or None, record) if found else None


def _hash_of(source: Source) -> str | None:
    try:
        return files.sha256_of(source.path or "")
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise InvalidInput(f"source.path {source.path!r} cannot be read: {exc.strerror}.") from exc


def _named(source: Source) -> dict[str, str]:
    if source.path:
        return {"path": source.path}
    if source.type == "sdist":
        return {"project": PROJECT, "version": source.version or VERSION}
    return {"url": index.shown(source.url or "")}


def open_file(source: Source, sha256: str) -> IO[bytes] | None:
    """The file at `source.path`, opened with the caller's rights and proven; None when it is to be downloaded.

    :raises InvalidInput: there is no such file. :raises Untrusted: it has another hash.
    """
    if not source.path:
        return None
    try:
        file = open(source.path, "rb")  # noqa: SIM115  the caller closes it
    except OSError as exc:
        raise InvalidInput(f"source.path {source.path!r} cannot be read: {exc.strerror}.") from exc
    return _proven(file, source.path, sha256)


def fetch(source: Source, sha256: str, indexes: list[str], cache: str) -> IO[bytes]:
    """The file from the cache folder, where it is downloaded to first if need be.

    :param indexes: package indexes, for an `sdist`.
    :raises Unreachable, InvalidInput: it cannot be had. :raises Untrusted: it has another hash; it is not kept.
    """
    os.makedirs(cache, exist_ok=True)
    version = source.version or VERSION
    kind = f"{PROJECT}-{version}" if source.type == "sdist" else "archive"
    path = name = os.path.join(cache, f"{kind}-{sha256[:16]}")
    if not os.path.exists(path):
        url = index.find_file(indexes, PROJECT, version) if source.type == "sdist" else str(source.url)
        name = _download(url, path)
    file = open(path, "rb")  # noqa: SIM115  the caller closes it
    try:
        return _proven(file, name, sha256)
    except Untrusted:
        files.remove_file(path)
        raise


def _download(url: str, path: str) -> str:
    """Fetch an address to `path`; returns the address as messages may name it."""
    plain, headers = index.authorise(url)
    shown, partial = index.shown(url), f"{path}.part"
    try:
        if not _copy_local(plain, partial):
            download.fetch(plain, shown, partial, headers)
        os.replace(partial, path)
    finally:
        files.remove_file(partial)
    return shown


def _copy_local(url: str, path: str) -> bool:
    """Copy what a `file:` address means; False for any other address."""
    if not url.startswith("file:"):
        return False
    try:
        shutil.copyfile(urllib.request.url2pathname(urllib.parse.urlsplit(url).path), path)
    except OSError as exc:
        raise InvalidInput(f"{url} cannot be read: {exc.strerror}.") from exc
    return True


def _proven(file: IO[bytes], name: str, sha256: str) -> IO[bytes]:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    if digest.hexdigest() == sha256:
        file.seek(0)
        return file
    file.close()
    raise Untrusted(
        f"{name} has the SHA-256 {digest.hexdigest()}; {sha256} was asked for.", "Check the checksum. Nothing was kept."
    )


def unpack_into(archive: IO[bytes], sdist: bool, folder: str) -> None:
    """Put llama.cpp's source tree from an archive at `folder`, which is replaced.

    :raises Untrusted: a hostile or damaged archive. :raises InvalidInput: there is no llama.cpp in it.
    """
    fresh = f"{folder}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        unpack.extract(archive, fresh, only=_VENDORED if sdist else "")
        found = find_project(fresh)
        _remove(os.path.join(found, ".git"))  # CMake would ask git about it
        _remove(folder)
        os.rename(found, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        files.remove_file(path)


def find_project(folder: str) -> str:
    """The folder of llama.cpp's own CMakeLists.txt: here, or below a single top folder, or vendored there.

    :raises InvalidInput: there is none.
    """
    inner = os.listdir(folder)
    tops = [folder, *([os.path.join(folder, inner[0])] if len(inner) == 1 else [])]
    for candidate in [os.path.join(top, below) for top in tops for below in ("", _VENDORED)]:
        text = files.read_text(os.path.join(candidate, "CMakeLists.txt"))
        if text and re.search(r"project\s*\(\s*\"?llama\.cpp\"?", text, re.IGNORECASE):
            return candidate
    raise InvalidInput("The archive has no source tree of llama.cpp (a CMakeLists.txt with its project line).")
