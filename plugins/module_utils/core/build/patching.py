# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing the patches of known issues into the source tree, by git apply, and out again where they do not count."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..command import run
from ..errors import CommandFailed, MissingTool
from ..files import read_json, read_text, write_json
from ..host import machine
from ..tree import Tree, build_account
from . import checkout, knownissues
from .knownissues import Issue, Verdict
from .toolchain import Toolchain


@dataclass(frozen=True)
class Applied:
    """What known issues add: labels for the recipe, flags by CMake variable, all verdicts for the manifest."""

    labels: tuple[str, ...] = ()
    flags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    report: tuple[dict[str, str], ...] = ()


def apply(
    tree: Tree,
    tools: Toolchain,
    number: int,
    cuda: str | None,
    headers: str,
    table: Sequence[Issue] = knownissues.TABLE,
) -> Applied:
    """Make `work/tree` have the patches that count for this build, and no others.

    :param number: upstream's build number. :param cuda: version of the toolkit, `headers` the folder of its headers.
    :raises MissingTool: a patch is needed and git is not there. :raises CommandFailed: a patch does not fit.
    """
    folder = checkout.folder(tree)
    _undo(tree, tools, folder, table)
    libc = machine.libc()
    glibc = libc["version"] if libc["name"] == "glibc" else None

    def read(name: str) -> str | None:
        return read_text(os.path.join(folder, name))

    verdicts = knownissues.judge(number, cuda, glibc, read, table)
    issues = [verdict.issue for verdict in verdicts if verdict.applies]
    for issue in issues:
        if issue.patch:
            _note(tree, [*_noted(tree), issue.id])
            _git_apply(tree, tools, folder, issue)
    flags: dict[str, list[str]] = {}
    for issue in issues:
        for variable, words in issue.flags.items():
            known = flags.setdefault(variable, [])
            known += [flag for word in words if (flag := word.replace("{cuda}", headers)) not in known]
    return Applied(tuple(issue.label() for issue in issues), flags, tuple(map(_said, verdicts)))


def _undo(tree: Tree, tools: Toolchain, folder: str, table: Sequence[Issue]) -> None:
    """Take out what an earlier build brought in; a run that was killed may have noted a patch and not applied it."""
    patches = {issue.id: issue for issue in table}
    for name in reversed(_noted(tree)):
        if name in patches and _fits(tree, tools, folder, patches[name], "--reverse"):
            _git_apply(tree, tools, folder, patches[name], "--reverse")
    if _noted(tree):
        _note(tree, [])


def _git_apply(tree: Tree, tools: Toolchain, folder: str, issue: Issue, *options: str) -> None:
    said = _git(tree, tools, folder, issue, *options)
    if said is not None:
        raise CommandFailed(
            f"The patch {issue.id} ({issue.reason}) does not fit the source tree: {said}",
            f"See {issue.link}; take another version of llama.cpp or of CUDA ({issue.expiry}).",
        )


def _fits(tree: Tree, tools: Toolchain, folder: str, issue: Issue, *options: str) -> bool:
    return _git(tree, tools, folder, issue, "--check", *options) is None


def _git(tree: Tree, tools: Toolchain, folder: str, issue: Issue, *options: str) -> str | None:
    """Run git apply; what it says where it fails."""
    if "git" not in tools.programs:
        raise MissingTool(f"The patch {issue.id} needs git, which is not installed.", "Install git.")
    with tempfile.NamedTemporaryFile("w", suffix=".patch") as file:
        file.write(issue.patch)
        file.flush()
        os.chmod(file.name, 0o644)  # whoever compiles applies it
        argv = [tools.programs["git"], "apply", "--unidiff-zero", *options, file.name]
        environment = {"PATH": tools.path, "HOME": tree.work, "GIT_CEILING_DIRECTORIES": os.path.dirname(folder)}
        done = run(argv, cwd=folder, env=environment, account=build_account(tree), check=False)
    return (done.stderr.strip() or f"status {done.rc}") if done.rc else None


def _noted(tree: Tree) -> list[str]:
    """The ids of the patches that are in the source tree."""
    mark = read_json(checkout.mark(tree))
    return list(mark.get("patches") or []) if isinstance(mark, dict) else []


def _note(tree: Tree, ids: Sequence[str]) -> None:
    mark: Any = read_json(checkout.mark(tree))
    write_json(checkout.mark(tree), {**(mark if isinstance(mark, dict) else {}), "patches": list(ids)})


def _said(verdict: Verdict) -> dict[str, str]:
    state = "applied" if verdict.applies else verdict.why.partition(":")[0]
    return {"id": verdict.issue.id, "state": state, "why": verdict.why, "link": verdict.issue.link}
