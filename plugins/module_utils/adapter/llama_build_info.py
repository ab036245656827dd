# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module llama_build_info in terms of the core.

PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any

from ..core.build import buildinfo
from ..core.tree import Tree
from .module import ROOT_ARGUMENTS

ARGUMENTS: dict[str, dict[str, Any]] = dict(ROOT_ARGUMENTS)


def run(tree: Tree) -> dict[str, Any]:
    """What the root holds, as a result."""
    return {"changed": False, **buildinfo.describe(tree)}
