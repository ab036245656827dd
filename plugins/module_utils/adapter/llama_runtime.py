# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module llama_runtime in terms of the core.

PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core.errors import MissingTool
from ..core.runtime import Change, prepare, served_by_supervisor
from ..core.tree import Tree
from .llama_bundle import BUNDLE_ARGUMENTS, given
from .module import ROOT_ARGUMENTS

ARGUMENTS: dict[str, dict[str, Any]] = {
    **ROOT_ARGUMENTS,
    **BUNDLE_ARGUMENTS,
    "manager": {"type": "str", "choices": ["auto", "systemd", "supervisor"], "default": "auto"},
    "packages": {"type": "list", "elements": "str"},
    "supervisor_packages": {"type": "list", "elements": "str", "default": []},
}


def run(module: AnsibleModule, tree: Tree) -> dict[str, Any]:
    """Prepare the root and describe it; in check mode an account that is still missing is a warning."""
    packages, more = module.params["packages"], module.params["supervisor_packages"]
    if packages is not None and more and served_by_supervisor(tree, module.params["manager"]):
        packages = [*packages, *more]
    try:
        changes = prepare(tree, packages, module.check_mode, lambda: given(module), module.params["manager"])
    except MissingTool as exc:
        if not module.check_mode:
            raise
        module.warn(f"{exc.problem} An earlier step would create it; the whole root would be prepared.")
        changes = [Change(tree.root, "", "runtime root\n")]
    return {
        "changed": bool(changes),
        "root": tree.root,
        "scope": tree.scope,
        "venv": tree.venv,
        "paths": [change.path for change in changes],
        "diff": [
            {"before_header": change.path, "after_header": change.path, "before": change.before, "after": change.after}
            for change in changes
        ],
    }
