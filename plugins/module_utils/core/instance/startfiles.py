# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server reads at its start beside its model: its keys, and the presets of a router."""

from __future__ import annotations

import os

from .. import files
from ..tree import Tree
from . import launch, presets
from .change import Step


def write(tree: Tree, step: Step) -> None:
    """Write those that a step changes."""
    if "keys" in step.actions:
        write_keys(tree, step.name, step.keys_after)
        as_old_as_its_process(step, launch.key_path(tree, step.name))
    if "presets" in step.actions:
        write_presets(tree, step.name, step.presets_after)


def write_keys(tree: Tree, name: str, text: str | None) -> None:
    """Write or remove the key file of an instance."""
    path = launch.key_path(tree, name)
    if text is None:
        files.remove_file(path)
    else:
        files.write_text(path, text, 0o600)


def write_presets(tree: Tree, name: str, text: str | None) -> None:
    """Write or remove the presets file of a router."""
    path = presets.path(tree, name)
    if text is None:
        files.remove_file(path)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        files.write_text(path, text)


def as_old_as_its_process(step: Step, path: str) -> None:
    """A file that says what already runs is as old as the process; a younger one would call for a restart."""
    if step.restores and step.status.started and os.path.exists(path):
        os.utime(path, (step.status.started, step.status.started))
