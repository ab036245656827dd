# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module llama_log_info in terms of the core.

PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core.instance import logs, service
from ..core.tree import Tree
from .module import ROOT_ARGUMENTS

ARGUMENTS: dict[str, dict[str, Any]] = {
    **ROOT_ARGUMENTS,
    "manager": {"type": "str", "choices": ["auto", "systemd", "supervisor"], "default": "auto"},
    "names": {"type": "list", "elements": "str"},
    "lines": {"type": "int", "default": 100},
    "since": {"type": "str", "default": logs.EVER},
}


def run(module: AnsibleModule, tree: Tree) -> dict[str, Any]:
    """The logs of the named instances, or of all."""
    params = module.params
    manager = service.choose(tree, params["manager"])
    names = params["names"] or manager.managed()
    lines = min(max(params["lines"], 1), 100_000)
    return {"changed": False, "logs": {name: logs.read(manager, name, lines, params["since"]) for name in names}}
