# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Artifacts of builds on the controller, and what each kind of request came to last.

    <build id>.tar.gz, <build id>.json {sha256, size}      the artifacts; a web server may serve the folder as it is
    requests/<key>.json {build}, requests/<key>.lock       the answer to a request; whoever works on it holds the lock

The folder can be deleted at any time: it costs one compile for each kind of host.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable

_KEEP = 10  # the newest artifacts, besides those that answer a request
_ID = re.compile(r"[0-9a-z][0-9a-z.]{0,39}-[0-9a-f]{7}-[a-z0-9]{1,20}-[0-9a-f]{8}")
# what does not change the build that an answer names (architectures follow from the hosts of a play; each host proves
# that its own are among them)
_APART = {"root", "scope", "jobs", "activate", "active", "keep", "force", "state", "build", "lock_timeout", "job"}
_APART |= {"architectures", "artifacts", "ship", "speed_gate", "refused"}


@dataclass(frozen=True)
class Artifact:
    """An artifact in the cache: its file on the controller, SHA-256 (hex), size in bytes."""

    build_id: str
    path: str
    sha256: str
    size: int


def request_key(arguments: Mapping[str, Any], target: str) -> str:
    """The name of what is asked for, for one kind of host: equal requests have equal names."""
    wanted = {name: value for name, value in arguments.items() if name not in _APART and value is not None}
    text = json.dumps([target, wanted], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class Cache:
    """The folder. Several plays may use it at once."""

    def __init__(self, folder: str) -> None:
        self.folder = os.path.abspath(os.path.expanduser(folder))
        os.makedirs(os.path.join(self.folder, "requests"), 0o700, exist_ok=True)

    def ids(self) -> list[str]:
        """The builds that are here, by their ids."""
        names = [os.path.basename(path)[: -len(".json")] for path in glob.glob(f"{glob.escape(self.folder)}/*.json")]
        return sorted(name for name in names if _ID.fullmatch(name) and os.path.exists(self._path(name)))

    def find(self, build_id: str) -> Artifact | None:
        """An artifact, by what was noted of it. Before its bytes are used, `whole` must say yes."""
        said = _read(self._path(build_id, ".json"))
        found = Artifact(build_id, self._path(build_id), str(said.get("sha256")), int(said.get("size") or 0))
        return found if said and os.path.exists(found.path) else None

    def whole(self, artifact: Artifact | None) -> bool:
        """True if the bytes of an artifact are what they were when it came; what is damaged is removed."""
        if artifact is None:
            return False
        with contextlib.suppress(OSError):
            if _sha256(artifact.path) == artifact.sha256:
                return True
        self.remove(artifact.build_id)
        return False

    @contextlib.contextmanager
    def incoming(self, build_id: str, sha256: str, size: int) -> Iterator[str]:
        """A path to put a new artifact at; it is in the cache when the block ends, if its SHA-256 is right.

        :raises ValueError: the id cannot be one, or other bytes came.
        """
        target = self._path(build_id)
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=self.folder) as folder:
            path = os.path.join(folder, "artifact")
            yield path
            found = _sha256(path)
            if found != sha256:
                raise ValueError(
                    f"The artifact of {build_id} was packed with the SHA-256 {sha256} and came with {found}."
                )
            os.replace(path, target)
        _write(self._path(build_id, ".json"), {"sha256": sha256, "size": size})
        self._prune()

    def remove(self, build_id: str) -> None:
        """Forget an artifact."""
        for kind in (".json", ".tar.gz"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(build_id, kind))

    def answer(self, key: str) -> str | None:
        """The build that a request came to last."""
        build_id = str(_read(self._request(key, ".json")).get("build"))
        return build_id if _ID.fullmatch(build_id) else None

    def remember(self, key: str, build_id: str) -> None:
        """Note what a request came to."""
        if self.answer(key) != build_id:
            _write(self._request(key, ".json"), {"build": build_id})

    @contextlib.contextmanager
    def lock(self, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the lock of a request: of all plays on this controller one compiles, and the others take the result.

        :param waiting: called once if another play holds it.
        """
        handle = os.open(self._request(key, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            said = False
            while True:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                if not said:
                    said = True
                    waiting()
                time.sleep(0.5)
            yield
        finally:
            os.close(handle)

    def _prune(self) -> None:
        """Remove all artifacts but those that answer a request, and the newest."""
        answers = glob.glob(os.path.join(glob.escape(self.folder), "requests", "*.json"))
        needed = {str(_read(path).get("build")) for path in answers}
        ids = sorted(self.ids(), key=lambda name: os.stat(self._path(name)).st_mtime, reverse=True)
        for build_id in ids[_KEEP:]:
            if build_id not in needed:
                self.remove(build_id)

    def _path(self, build_id: str, kind: str = ".tar.gz") -> str:
        if not _ID.fullmatch(build_id):
            raise ValueError(f"{build_id!r} is no build id.")
        return os.path.join(self.folder, build_id + kind)

    def _request(self, key: str, kind: str) -> str:
        return os.path.join(self.folder, "requests", key + kind)


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _read(path: str) -> dict[str, Any]:
    """The dict in a JSON file; empty when there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: str, value: Mapping[str, Any]) -> None:
    """Write a JSON file; it is either old or new."""
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=os.path.dirname(path))
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(value, file, sort_keys=True)
    os.replace(temporary, path)
