# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With real repositories and the real git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import source_git
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import CommandFailed, InvalidInput


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=master"]
    argv = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", text)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    folder = tmp_path / "up stream"
    folder.mkdir()
    git(folder, "init", "-q")
    commit(folder, "f", "one")
    git(folder, "tag", "v1.0.0")
    commit(folder, "f", "two")
    git(folder, "tag", "-a", "-m", "annotated", "v1.1.0")
    commit(folder, "f", "three")
    folder.rename(tmp_path / "upstream")
    return tmp_path / "upstream"


@pytest.fixture
def repository(upstream: Path):
    with source_git.session("/usr/bin/git", "/usr/bin:/bin", source_git.check_url(str(upstream)), None) as ready:
        yield ready


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "src.git")


def check_out(repository, cache: str, wanted: str, tmp_path: Path) -> tuple[int, str]:
    folder = tmp_path / "tree"
    folder.mkdir(exist_ok=True)
    source_git.bring(repository, cache, wanted)
    return source_git.check_out(repository, cache, wanted, str(folder)), (folder / "f").read_text()


@pytest.mark.parametrize(
    ("ref", "kind", "tag", "content"),
    [
        ("latest", "channel", "v1.1.0", "two"),
        ("v1.0.0", "tag", "v1.0.0", "one"),
        ("refs/tags/v1.1.0", "tag", "v1.1.0", "two"),
        ("master", "branch", None, "three"),
    ],
)
def test_resolve_and_check_out(upstream, repository, cache, tmp_path, ref, kind, tag, content):
    exact = source_git.resolve(repository, ref)
    assert (exact.kind, exact.version, exact.record.get("tag")) == (kind, tag and tag[1:], tag)
    number, text = check_out(repository, cache, exact.commit, tmp_path)
    assert (number, text) == ({"one": 1, "two": 2, "three": 3}[content], content)
    assert exact.record["url"] == f"file://{upstream}"


def test_file_contents_come_only_when_they_are_checked_out(upstream, repository, cache, tmp_path):
    source_git.bring(repository, cache, git(upstream, "rev-parse", "HEAD"))
    promised = git(Path(cache), "rev-list", "--objects", "--all", "--missing=print")
    assert promised.count("?") == 3
    assert check_out(repository, cache, git(upstream, "rev-parse", "HEAD"), tmp_path) == (3, "three")


def test_a_moved_branch_is_another_commit(upstream, repository, cache, tmp_path):
    first = source_git.resolve(repository, "master").commit
    check_out(repository, cache, first, tmp_path)
    (tmp_path / "tree" / "stray").write_text("left by somebody")
    second = commit(upstream, "g", "four")
    assert source_git.resolve(repository, "master").commit == second != first
    check_out(repository, cache, second, tmp_path)
    assert sorted(path.name for path in (tmp_path / "tree").iterdir()) == ["f", "g"]
    assert check_out(repository, cache, first, tmp_path) == (3, "three")
    assert sorted(path.name for path in (tmp_path / "tree").iterdir()) == ["f"]


def test_short_commits_come_from_the_history(upstream, repository, cache):
    inner = git(upstream, "rev-parse", "v1.0.0")
    assert source_git.resolve(repository, inner[:9]).commit == inner  # the tip of a tag
    old = git(upstream, "rev-parse", "HEAD")
    commit(upstream, "f", "four")
    assert source_git.resolve(repository, old[:9]) is None
    assert source_git.search(repository, cache, old[:9]) == old
    with pytest.raises(InvalidInput, match="no tag, branch or commit '1234567'"):
        source_git.search(repository, cache, "1234567")


def test_a_commit_that_is_not_there(repository, cache):
    with pytest.raises(InvalidInput, match="has no commit 1111"):
        source_git.bring(repository, cache, "1" * 40)


def test_another_repository_replaces_the_cache(upstream, repository, cache, tmp_path):
    check_out(repository, cache, git(upstream, "rev-parse", "HEAD"), tmp_path)
    fork = tmp_path / "fork"
    fork.mkdir()
    git(fork, "init", "-q")
    forked = commit(fork, "f", "fork")
    with source_git.session("/usr/bin/git", "/usr/bin:/bin", f"file://{fork}", None) as other:
        assert check_out(other, cache, forked, tmp_path) == (1, "fork")


def test_a_killed_run_does_not_block_the_next(upstream, repository, cache, tmp_path):
    head = git(upstream, "rev-parse", "HEAD")
    check_out(repository, cache, head, tmp_path)
    (Path(cache) / "index.lock").write_text("")
    assert check_out(repository, cache, git(upstream, "rev-parse", "v1.0.0"), tmp_path)[1] == "one"


def test_no_hook_and_no_configuration_of_the_user_runs(upstream, cache, tmp_path, monkeypatch):
    head = commit(upstream, ".gitattributes", "f filter=x\n")
    touched = tmp_path / "touched"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {touched}\n")
    (hooks / "post-checkout").chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(
        f'[core]\n hooksPath = {hooks}\n fsmonitor = touch {touched}\n[filter "x"]\n smudge = touch {touched}\n'
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text(config.read_text())
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path))
    with source_git.session("/usr/bin/git", "/usr/bin:/bin", f"file://{upstream}", None) as ready:
        check_out(ready, cache, head, tmp_path)
    assert not touched.exists()


def test_an_unreachable_repository_is_named_with_a_remedy(tmp_path):
    nowhere = source_git.session("/usr/bin/git", "/usr/bin:/bin", f"file://{tmp_path}/nowhere", None)
    with nowhere as ready, pytest.raises(CommandFailed, match="does not appear to be a git repository.*source.url"):
        source_git.resolve(ready, "latest")


def test_damaged_objects_are_refused(upstream, repository, cache):
    tree = (
        subprocess.run(
            ["git", "-C", str(upstream), "hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
            input=b"100644 .git\0" + bytes.fromhex(git(upstream, "rev-parse", "HEAD:f")),
            capture_output=True,
            check=True,
        )
        .stdout.decode()
        .strip()
    )
    bad = git(upstream, "commit-tree", "-m", "hostile", tree)
    git(upstream, "branch", "hostile", bad)
    with pytest.raises(CommandFailed, match="hasDotgit"):
        source_git.bring(repository, cache, bad)
