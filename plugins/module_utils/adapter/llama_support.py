# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module llama_support in terms of the core.

PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core import files
from ..core.instance import service
from ..core.support import collect
from ..core.tree import Tree
from .module import ROOT_ARGUMENTS

ARGUMENTS: dict[str, dict[str, Any]] = {
    **ROOT_ARGUMENTS,
    "manager": {"type": "str", "choices": ["auto", "systemd", "supervisor"], "default": "auto"},
    "path": {"type": "path", "required": True},
    "lines": {"type": "int", "default": 1000},
}


def run(module: AnsibleModule, tree: Tree) -> dict[str, Any]:
    """Write the bundle of this host."""
    lines = min(max(module.params["lines"], 1), 100_000)
    manager = service.choose(tree, module.params["manager"])
    archive, sizes, redacted = collect.bundle(tree, manager, lines)
    if not module.check_mode:
        files.write_bytes(module.params["path"], archive, 0o600)
    return {"changed": True, "path": module.params["path"], "files": sizes, "redacted": redacted}
