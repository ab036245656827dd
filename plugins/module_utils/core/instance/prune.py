# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances that have a unit of ours and are not in the inventory any more: stopping them, and no more."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..files import read_text
from ..tree import Tree
from . import launch, naming
from .change import Step
from .definition import Instance
from .service import Manager

REPORT, STOP, REMOVE = "report", "stop", "remove"
HOW = (REPORT, STOP, REMOVE)


def stops(tree: Tree, manager: Manager, names: Sequence[str]) -> list[Step]:
    """Steps that stop these instances and keep their units; for those that stand still there is nothing to do."""
    return [_stop(tree, manager, name) for name in names]


def _stop(tree: Tree, manager: Manager, name: str) -> Step:
    status = manager.status(name)
    text, keys = read_text(manager.path(name)), read_text(launch.key_path(tree, name))
    beside = os.path.exists(manager.path(naming.successor(name)))
    actions = ["stop"] if status.active or status.waiting or beside else []
    actions += ["disable"] if status.enabled else []
    item = Instance(name=name, state="stopped")
    return Step(item, tuple(actions), status, text, text, keys_before=keys, keys_after=keys, successor=beside)
