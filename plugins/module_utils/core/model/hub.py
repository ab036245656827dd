# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Hugging Face hub: its client says what there is, we fetch it; every failure is an error that says what helps.

A token goes to the hub alone. It is in no message: those name the repository, never a request.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .. import gguf
from ..errors import InvalidInput, LlamaOpsError, MissingLibrary, Unreachable, Untrusted
from ..gguf import remote as gguf_remote
from ..web import Refused, Remote
from . import download
from .download import Patience
from .modelchoice import Entry

PUBLIC = "https://huggingface.co"
_TOKEN_REMEDY = "Give a token that may read it with token_file or the environment variable HF_TOKEN."


@dataclass(frozen=True)
class Hub:
    """A hub or a mirror of it. `endpoint` None: `HF_ENDPOINT` of the environment or the public one."""

    endpoint: str | None = None
    token: str | None = field(default=None, repr=False)

    @classmethod
    def open(cls, endpoint: str | None, token: str | None) -> Hub:
        """A hub as users give it.

        :raises InvalidInput: the endpoint is no plain HTTP(S) address, or the token cannot be one (it is not shown).
        """
        if endpoint and not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._/-]*)?", endpoint):
            raise InvalidInput(
                "The endpoint must be an address such as https://huggingface.co, without a user or query."
            )
        if token and not re.fullmatch(r"[!-~]{1,512}", token):
            raise InvalidInput("The token of the hub must be one line of printable characters.")
        return cls(endpoint.rstrip("/") if endpoint else None, token or None)

    def listing(self, repo: str, revision: str | None) -> tuple[str, list[Entry]]:
        """The full commit of a revision (the default branch if None), and its files with sizes and checksums."""
        with _reported(repo, revision):
            api = _client().HfApi(endpoint=self.endpoint, token=self.token or False)
            info = api.model_info(repo, revision=revision, files_metadata=True, timeout=60)
        files = [_entry(item) for item in info.siblings or []]
        commit = str(info.sha or "")
        if len(commit) != 40 or not commit.isalnum():
            raise Untrusted(f"The hub gives {repo} the commit {commit!r}; 40 hex digits are needed.")
        return commit, [entry for entry in files if entry]

    def download(
        self,
        repo: str,
        commit: str,
        entry: Entry,
        path: str,
        patience: Patience,
        moved: Callable[[int], None] | None = None,
    ) -> str:
        """Have the bytes of one file of a commit in `path`, see `download.resume`; returns their SHA-256.

        The client of the hub cannot go on after a run that was killed, and does not hash; so the bytes are ours to get,
        over HTTP also where the hub offers Xet (docs/models.md says why).
        """
        try:
            return download.resume(self.remote(repo, commit, entry.path), path, entry.size, patience, moved)
        except Refused as exc:
            raise _refused(exc, repo, f"{entry.path} of {repo} at {commit}") from None

    def header(self, repo: str, commit: str, entry: Entry) -> gguf.Header:
        """The header of one file of a commit, without its tensors."""
        try:
            return gguf_remote.read_header(self.remote(repo, commit, entry.path))
        except Refused as exc:
            raise _refused(exc, repo, f"{entry.path} of {repo} at {commit}") from None

    def remote(self, repo: str, commit: str, path: str) -> Remote:
        """Where a file is; the token goes to this host and not to the one it redirects to."""
        base = self.endpoint or os.environ.get("HF_ENDPOINT", "").rstrip("/") or PUBLIC
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return Remote(f"{base}/{repo}/resolve/{commit}/{urllib.parse.quote(path)}", f"{path} of {repo}", headers)


def _refused(exc: Refused, repo: str, where: str) -> LlamaOpsError:
    """What a hub's refusal of a file means to a user."""
    if exc.code == "GatedRepo":
        return _gated(repo)
    if exc.status in (401, 403):
        return InvalidInput(f"The hub refused {where} (status {exc.status}).", _TOKEN_REMEDY)
    return InvalidInput(f"The hub has no {where}.") if exc.status == 404 else exc


def _gated(repo: str) -> InvalidInput:
    return InvalidInput(
        f"{repo} is gated: its owner wants its terms accepted first.",
        f"Accept them on the hub's page of the repository. {_TOKEN_REMEDY}",
    )


def _entry(item: Any) -> Entry | None:
    """A file of a listing; None for one that is no large file and so has no checksum."""
    lfs = item.lfs
    digest = str(lfs.sha256).lower() if lfs else ""
    if len(digest) != 64 or not digest.isalnum() or not isinstance(item.size, int):
        return None
    return Entry(str(item.rfilename), item.size, digest)


def _client() -> Any:
    try:
        client = importlib.import_module("huggingface_hub")
        utils = importlib.import_module("huggingface_hub.utils")
    except ImportError:
        raise MissingLibrary("huggingface_hub", "to fetch models from the Hugging Face hub") from None
    utils.disable_progress_bars()
    utils.logging.set_verbosity_error()  # its warnings name addresses that carry signatures
    return client


@contextlib.contextmanager
def _reported(repo: str, revision: str | None, path: str = "") -> Iterator[None]:
    """Turn what the client raises into an error of ours."""
    try:
        yield
    except LlamaOpsError:
        raise
    except Exception as exc:  # noqa: BLE001  the client's own libraries raise what they like
        raise _translated(exc, repo, revision, path) from None


def _translated(exc: Exception, repo: str, revision: str | None, path: str) -> LlamaOpsError:
    errors = importlib.import_module("huggingface_hub.errors")
    where = f"{path or 'the list of files'} of {repo}" + (f" at {revision}" if revision else "")
    status = getattr(getattr(exc, "response", None), "status_code", None)
    if isinstance(exc, errors.RevisionNotFoundError):
        return InvalidInput(f"{repo} has no revision {revision!r}.", "Give a branch, a tag or a full commit of it.")
    if isinstance(exc, errors.GatedRepoError):
        return _gated(repo)
    if isinstance(exc, errors.RepositoryNotFoundError):
        return InvalidInput(
            f"The hub knows no repository {repo}, or shows it only to those who may read it (status {status}).",
            f"Check the name. {_TOKEN_REMEDY}",
        )
    if isinstance(exc, errors.EntryNotFoundError) and status:
        return InvalidInput(f"The hub has no {where}.")
    if isinstance(exc, errors.OfflineModeIsEnabled):
        return Unreachable(
            f"{where} cannot be fetched: the hub's client is offline.", "Unset HF_HUB_OFFLINE in the environment."
        )
    if status in (401, 403):
        return InvalidInput(f"The hub refused {where} (status {status}).", _TOKEN_REMEDY)
    if status:
        return Unreachable(
            f"The hub answered {where} with status {status}.", "Try again later, or use another endpoint."
        )
    said = (str(exc).splitlines() or [""])[0][:200]
    return Unreachable(
        f"Fetching {where} failed: {type(exc).__name__}: {said.rstrip('.')}.",
        "Check the network, the proxy and the endpoint (HF_ENDPOINT), then run this again.",
    )
