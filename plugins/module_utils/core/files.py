# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are either old or new, never half: atomic writes, links and JSON."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from typing import Any, Callable


def write_text(path: str, text: str, mode: int = 0o644) -> None:
    """Replace `path` by a file with this content (UTF-8) and these permissions, atomically."""
    write_bytes(path, text.encode("utf-8"), mode)


def write_bytes(path: str, data: bytes, mode: int = 0o644) -> None:
    """Replace `path` by a file with these bytes and these permissions, atomically."""
    folder = os.path.dirname(path)
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=folder)
    try:
        os.fchmod(handle, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        remove_file(temporary)
        raise


def read_text(path: str) -> str | None:
    """The content of a text file, or None when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write_json(path: str, value: Any, mode: int = 0o644) -> None:
    """Write a value as JSON with sorted keys, atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n", mode)


def read_json(path: str) -> Any:
    """The value in a JSON file; None when the file is missing or no JSON."""
    text = read_text(path)
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def point_link(link: str, target: str) -> bool:
    """Make the symbolic link `link` point to `target`, atomically. True if that changed it."""
    if os.path.islink(link) and os.readlink(link) == target:
        return False
    temporary = f"{link}.new-{os.getpid()}"
    remove_file(temporary)
    os.symlink(target, temporary)
    os.replace(temporary, link)
    return True


def remove_file(path: str) -> bool:
    """Remove a file or link. True if it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def sha256_of(path: str, progress: Callable[[int], None] | None = None) -> str:
    """The SHA-256 of a file in hex; `progress` gets the bytes read so far."""
    digest = hashlib.sha256()
    done = 0
    with open(path, "rb") as file:
        while True:
            block = file.read(1 << 22)
            if not block:
                return digest.hexdigest()
            digest.update(block)
            done += len(block)
            if progress:
                progress(done)
