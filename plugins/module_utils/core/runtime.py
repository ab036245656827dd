# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing a runtime root: its folders, the programs of units and the managed virtual environment."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from . import bundle, lock, venv
from .bundle import Bundle
from .instance import programs, service
from .onhost import command, package
from .tree import Tree, ensure

COMMAND = command.main  # what `package` packs has to be sent along, and Ansible sends what is imported


@dataclass(frozen=True)
class Change:
    """A path that was, or would be, made or changed; the texts are what diff mode shows."""

    path: str
    before: str
    after: str


def prepare(
    tree: Tree,
    packages: Sequence[str] | None,
    check: bool,
    wheels: Callable[[], Bundle | None] = lambda: None,
    manager: str = "auto",
) -> list[Change]:
    """Make or complete the root; returns what changed, in order.

    :param packages: requirements of the managed environment; None leaves the environment alone.
    :param wheels: gives the bundle that has the packages, if an environment is to be made from one.
    :param manager: what keeps the instances alive, for the command llama-host.
    :raises MissingTool: user or group of the system scope are missing, or Python cannot make environments.
    """
    changes = [Change(path, "", "folder, owner and mode as the layout says\n") for path in ensure(tree, check)]
    changes += _programs(tree, check) + _command(tree, manager, check)
    return changes + ([] if packages is None else _venv(tree, packages, check, wheels))


def served_by_supervisor(tree: Tree, manager: str) -> bool:
    """True where supervisord keeps the instances of this root alive.

    :raises InvalidInput: the wanted manager does not run here.
    """
    return not tree.system and service.choose(tree, manager).kind == "supervisor"


def _programs(tree: Tree, check: bool) -> list[Change]:
    changes = [Change(path, before, after) for path, (before, after) in programs.stale(tree).items()]
    if not check:
        programs.install(tree)
    return changes


def _command(tree: Tree, manager: str, check: bool) -> list[Change]:
    """The command llama-host and the link to it."""
    changes = [Change(path, before, after) for path, (before, after) in package.stale(tree, manager).items()]
    if changes and not check:
        package.install(tree, manager)
    return changes


def _venv(tree: Tree, packages: Sequence[str], check: bool, wheels: Callable[[], Bundle | None]) -> list[Change]:
    wanted = venv.stamp(packages)
    found = venv.current(tree.venv)
    if found == wanted:
        return []
    if not check:
        with lock.hold(tree, "managed virtual environment", wait=600):
            _install(tree, packages, wheels())
    return [Change(tree.venv, found or "", wanted)]


def _install(tree: Tree, packages: Sequence[str], wheels: Bundle | None) -> None:
    if wheels is None:
        return venv.install(tree.venv, packages)
    staged = tree.path(".wheels")
    try:
        bundle.stage_wheels(wheels, staged)
        venv.install(tree.venv, packages, wheels=staged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return None
