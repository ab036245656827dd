# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""llama_reranker.fetch OWNER/REPO COMMIT FOLDER: bring a model from the hub and prove its bytes.

The folder appears when all is there: what is fetched lies beside it until then, and a run that was cut goes on there.
Only weights that cannot hold code are fetched. The hub's SHA-256 (of large files) or git's SHA-1 is compared.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

WANTED = ["*.safetensors", "*.json", "*.txt", "*.model"]


class FetchError(Exception):
    """The model could not be brought; the text says why."""


def main() -> int:
    parser = argparse.ArgumentParser("llama_reranker.fetch")
    parser.add_argument("repo", help="OWNER/REPO")
    parser.add_argument("revision", help="the full commit")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--token-file", type=Path)
    given = parser.parse_args()
    try:
        if not re.fullmatch(r"[0-9a-f]{40}", given.revision):
            raise FetchError(f"The revision {given.revision!r} is not a full commit of 40 hex digits.")
        token = given.token_file.read_text(encoding="utf-8").strip() if given.token_file else None
        fetch(given.repo, given.revision, given.folder, token)
    except (FetchError, OSError, ValueError) as exc:
        print(f"E {given.repo}: {exc}", file=sys.stderr)
        return 1
    return 0


def fetch(repo: str, revision: str, folder: Path, token: str | None) -> None:
    """Bring one commit of a repository to `folder`.

    :raises FetchError: a file is not what the hub says it is (it is removed and fetched anew by the next run), or
        nothing that can be served is there.
    """
    from huggingface_hub import HfApi, snapshot_download

    wanted = {}
    for entry in HfApi(token=token or False).list_repo_tree(repo, recursive=True, revision=revision):
        if hasattr(entry, "blob_id") and any(Path(entry.path).match(pattern) for pattern in WANTED):
            wanted[entry.path] = (entry.lfs.sha256, "sha256") if entry.lfs else (entry.blob_id, "git")
    if "config.json" not in wanted:
        raise FetchError(f"there is no config.json in commit {revision}")
    partial = folder.with_name(f".{folder.name}.partial")
    snapshot_download(
        repo, revision=revision, local_dir=partial, allow_patterns=sorted(wanted), token=token or False, max_workers=4
    )
    for path, (digest, kind) in wanted.items():
        found = partial / path
        if not found.is_file() or found.is_symlink() or _digest(found, kind) != digest:
            found.unlink(missing_ok=True)
            raise FetchError(f"{path} is not the file that the hub describes; run again to fetch it anew")
    os.replace(partial, folder)


def _digest(path: Path, kind: str) -> str:
    """SHA-256 of a file, or the SHA-1 by which git names it."""
    if kind == "sha256":
        known = hashlib.sha256()
    else:
        known = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    for block in _blocks(path):
        known.update(block)
    return known.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


if __name__ == "__main__":
    raise SystemExit(main())
