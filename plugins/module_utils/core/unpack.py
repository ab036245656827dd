# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacking an archive that may be hostile: every member is checked before anything of it is written."""

from __future__ import annotations

import functools
import gzip
import io
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Callable

from .errors import Untrusted

MOST_MEMBERS = 100_000
MOST_BYTES = 4 << 30
# what the standard library raises on bytes that are no archive (RuntimeError: encrypted or unknown compression,
# IndexError: a zip file with a member without a name)
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
    RuntimeError,
    IndexError,
)


@dataclass(frozen=True)
class _Member:
    """One entry of an archive. `kind` is file, folder, link (symbolic), or what else it is."""

    name: str
    kind: str
    size: int
    executable: bool
    read: Callable[[], IO[bytes]]


def extract(
    archive: IO[bytes], folder: str, only: str = "", members: int = MOST_MEMBERS, size: int = MOST_BYTES
) -> int:
    """Unpack a tar (plain, gz, bz2, xz) or zip file into a new folder; returns the number of files.

    Times, owners and all rights but "executable" are not taken over. When it fails, the folder is gone.

    :param only: leave out members that do not lie below a folder of this name, such as `vendor/llama.cpp`.
    :raises Untrusted: it is no archive, is damaged, too large, or has a member that would leave the folder or
        is neither file, folder nor symbolic link.
    """
    os.mkdir(folder)
    try:
        return _unpack(archive, folder, only, members, size)
    except BaseException as exc:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(exc, _DAMAGED):
            raise Untrusted(f"The archive is damaged: {exc}.") from exc
        raise


def _unpack(archive: IO[bytes], folder: str, only: str, members: int, size: int) -> int:
    links: dict[str, str] = {}
    files = total = 0
    for count, member in enumerate(_members(archive), 1):
        total += member.size
        if count > members or total > size:
            raise Untrusted(f"The archive has more than {members} members or {size} bytes unpacked.")
        parts = _parts(member.name)
        if not parts or (only and f"/{only}/" not in f"/{'/'.join(parts)}/"):
            continue
        files += _write(member, os.path.join(folder, *parts), links)
    _link(folder, links)
    return files


def _parts(name: str) -> list[str]:
    """The parts of a member's name.

    :raises Untrusted: the name is absolute, climbs with `..`, or has characters no source file has.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\\" in name or not name.isprintable():
        raise Untrusted(f"The archive has a member named {name!r}, which may not be unpacked.")
    return parts


def _write(member: _Member, path: str, links: dict[str, str]) -> int:
    """Write one member; symbolic links are only noted, so that nothing is ever written through one."""
    if member.kind not in ("file", "folder", "link"):
        raise Untrusted(f"The archive has a {member.kind}, {member.name!r}; files, folders and links are allowed.")
    try:
        os.makedirs(path if member.kind == "folder" else os.path.dirname(path), exist_ok=True)
        if member.kind == "folder":
            return 0
        if member.kind == "file":
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755 if member.executable else 0o644)
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as exc:
        raise Untrusted(f"The archive has two members in the place of {member.name!r}.") from exc
    with member.read() as source:
        if member.kind == "link":
            links[path] = source.read(4096).decode("utf-8", "surrogateescape")
            return 0
        with os.fdopen(handle, "wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
    return 1


def _link(folder: str, links: dict[str, str]) -> None:
    """Make the symbolic links, then look where each really leads: a chain of links must not leave the folder."""
    for path, target in links.items():
        if not target or os.path.lexists(path):
            raise Untrusted(f"The archive has a symbolic link that may not be made: {target!r}.")
        os.symlink(target, path)
    inside = os.path.realpath(folder) + os.sep
    for path, target in links.items():
        if not os.path.realpath(path).startswith(inside):
            raise Untrusted(f"The archive has a symbolic link to {target!r}, which leaves its folder.")


def _members(archive: IO[bytes]) -> Iterator[_Member]:
    archive.seek(0)
    is_zip = archive.read(4) == b"PK\3\4"
    archive.seek(0)
    if not is_zip:
        with tarfile.open(fileobj=archive, mode="r:*") as tar:
            yield from (_tar_member(tar, info) for info in tar)
        return
    with zipfile.ZipFile(archive) as file:
        yield from (_zip_member(file, info) for info in file.infolist())


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    kinds = {"file": info.isreg(), "folder": info.isdir(), "link": info.issym(), "hard link": info.islnk()}
    kind = next((kind for kind, matches in kinds.items() if matches), "special file")

    def read() -> IO[bytes]:
        return io.BytesIO(os.fsencode(info.linkname)) if kind == "link" else tar.extractfile(info) or io.BytesIO()

    return _Member(info.name, kind, info.size, bool(info.mode & 0o100), read)


def _zip_member(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    mode = info.external_attr >> 16
    kind = {0: "file", stat.S_IFREG: "file", stat.S_IFLNK: "link"}.get(stat.S_IFMT(mode), "special file")
    kind = "folder" if info.is_dir() else kind
    return _Member(info.filename, kind, info.file_size, bool(mode & 0o100), functools.partial(file.open, info))
