# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack what the panel needs of the collection: pack.py COLLECTION [TARGET]. Prints the digest of its content.

Equal files give an equal digest, and an equal parcel, whenever and wherever they are packed.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import tarfile

PARTS = ("plugins", "roles", "playbooks", "meta", "panel", "requirements", "galaxy.yml", "MANIFEST.json")


def files(collection: str) -> list[str]:
    found = []
    for part in PARTS:
        start = os.path.join(collection, part)
        if os.path.isfile(start):
            found.append(start)
        for folder, folders, names in os.walk(start):
            folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
            found += [os.path.join(folder, name) for name in names if not name.endswith(".pyc")]
    return sorted(found)


def main(collection: str, target: str = "") -> None:
    found = files(collection)
    digest = hashlib.sha256()
    for path in found:
        with open(path, "rb") as file:
            digest.update(os.path.relpath(path, collection).encode() + b"\0" + hashlib.sha256(file.read()).digest())
    print(digest.hexdigest())
    if not target:
        return
    with (
        open(target, "wb") as out,
        gzip.GzipFile("", "wb", mtime=0, fileobj=out) as packed,
        tarfile.open(fileobj=packed, mode="w") as parcel,
    ):
        for path in found:
            member = parcel.gettarinfo(path, os.path.relpath(path, collection))
            member.mtime, member.uid, member.gid, member.uname, member.gname = 0, 0, 0, "", ""
            member.mode = 0o755 if member.mode & 0o100 else 0o644
            with open(path, "rb") as file:
                parcel.addfile(member, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
