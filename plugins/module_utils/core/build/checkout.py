# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one source tree of a root, `<root>/work/tree`: always at the same path, so that compiler caches hit."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Callable

from .. import account as accounts
from ..command import Account
from ..errors import InvalidInput, MissingTool
from ..files import read_json, read_text, remove_file, write_json
from ..tree import Tree, build_account
from . import index, source_archive, source_git
from .source import Exact, Source, git_record
from .toolchain import Toolchain

_NUMBER = re.compile(r"set\s*\(\s*LLAMA_VERSION_(MAJOR|MINOR|PATCH)\s+(\d+)\s*\)")


def folder(tree: Tree) -> str:
    """Where the source tree is."""
    return os.path.join(tree.work, "tree")


def mark(tree: Tree) -> str:
    """The file that says which tree is there: its commit, its build number, and the patches in it."""
    return os.path.join(tree.work, "tree.json")


def prepare(tree: Tree, source: Source, exact: Exact, tools: Toolchain, progress: Callable[[str], None]) -> int:
    """Make `work/tree` the exact tree; returns upstream's build number (commits up to it; 0 for an archive).

    Everything is fetched, checked and unpacked as the user who compiles. A tree that is complete already is left
    alone, so that a killed compile goes on where it was.
    """
    known = read_json(mark(tree))
    if isinstance(known, dict) and known.get("commit") == exact.commit and os.path.isdir(folder(tree)):
        return int(known.get("number") or 0)
    remove_file(mark(tree))
    account = build_account(tree)
    if source.type == "git":
        number = _from_git(tree, source, exact, tools, account, progress)
    else:
        number = _from_archive(tree, source, exact, account, progress)
    write_json(mark(tree), {"commit": exact.commit, "number": number})
    return number


def find_short(tree: Tree, source: Source, tools: Toolchain) -> Exact:
    """What a short commit means, by the history of the repository; the caller holds the lock."""
    ref = source.ref or ""
    with session(tree, source, tools) as git:
        commit = source_git.search(git, _cache(tree), ref)
        return Exact(commit, "commit", None, git_record(git.url, ref, "commit"))


def version(tree: Tree, number: int) -> str:
    """llama.cpp's version as its CMakeLists.txt says it; trees older than that have only a build number."""
    text = read_text(os.path.join(folder(tree), "CMakeLists.txt")) or ""
    parts = dict(_NUMBER.findall(text))
    if len(parts) == 3:
        return ".".join(parts[name] for name in ("MAJOR", "MINOR", "PATCH"))
    return f"b{number}" if number else "0.0.0"


def session(tree: Tree, source: Source, tools: Toolchain) -> contextlib.AbstractContextManager[source_git.Git]:
    """Git for the repository of a source, as the user who compiles (as the caller where there is none yet)."""
    try:
        account = build_account(tree)
    except MissingTool:
        account = None
    url = source_git.check_url(source.url or source_git.URL)
    return source_git.session(tools.programs["git"], tools.path, url, account)


def _cache(tree: Tree) -> str:
    return os.path.join(tree.work, "src.git")


def _from_git(
    tree: Tree, source: Source, exact: Exact, tools: Toolchain, account: Account | None, progress: Callable[[str], None]
) -> int:
    with session(tree, source, tools) as git:
        progress(f"fetch {exact.commit[:7]} from {git.url}")
        if source.commit and source.ref:
            _check_pin(git, source)
        source_git.bring(git, _cache(tree), exact.commit)
        accounts.call(account, lambda: os.makedirs(folder(tree), exist_ok=True))
        return source_git.check_out(git, _cache(tree), exact.commit, folder(tree))


def _check_pin(git: source_git.Git, source: Source) -> None:
    """The commit that the inventory pins must be what the reference means."""
    found = source_git.resolve(git, source.ref or "")
    if found is None or found.commit == source.commit:
        return
    raise InvalidInput(
        f"{source.ref!r} is the commit {found.commit}, and source.commit asks for {source.commit}.",
        "Look at what moved, then correct source.commit, or leave it out.",
    )


def _from_archive(
    tree: Tree, source: Source, exact: Exact, account: Account | None, progress: Callable[[str], None]
) -> int:
    sha256 = exact.commit.partition(":")[2]
    indexes = [source.url] if source.url else index.configured(os.environ, os.path.expanduser("~"))
    progress(f"fetch {source.type} {sha256[:12]}")
    file = source_archive.open_file(source, sha256)

    def unpack() -> None:
        with file or source_archive.fetch(source, sha256, indexes, os.path.join(tree.cache, "downloads")) as archive:
            source_archive.unpack_into(archive, source.type == "sdist", folder(tree))

    accounts.call(account, unpack)
    return 0
