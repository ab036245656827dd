# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module llama_bundle in terms of the core, and the bundle that other modules read.

PRIVATE to the collection.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core import bundle
from ..core.bundle import Bundle, Wanted
from ..core.files import sha256_of
from ..core.tree import Tree
from .module import ROOT_ARGUMENTS

BUNDLE_ARGUMENTS: dict[str, dict[str, Any]] = {
    "bundle": {
        "type": "dict",
        "options": {"path": {"type": "path", "required": True}, "sha256": {"type": "str", "required": True}},
    }
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    **ROOT_ARGUMENTS,
    "path": {"type": "path", "required": True},
    "models": {"type": "list", "elements": "str", "default": []},
    "packages": {"type": "list", "elements": "str", "default": []},
    "python_versions": {"type": "list", "elements": "str", "default": []},
    "builds": {"type": "list", "elements": "str", "default": []},
    "artifacts": {"type": "list", "elements": "path", "default": []},
}


def given(module: AnsibleModule) -> Bundle | None:
    """The bundle that the argument `bundle` names, believed."""
    found = module.params["bundle"]
    return bundle.read(found["path"], found["sha256"]) if found else None


def run(module: AnsibleModule, tree: Tree) -> dict[str, Any]:
    """Write a bundle, or in check mode say what it would hold."""
    path = module.params["path"]
    before = bundle.known(path)
    found = os.path.join(path, "bundle.json")
    digest = sha256_of(found) if before else ""
    keys = ("models", "packages", "python_versions", "artifacts", "builds")
    wanted = Wanted(*(tuple(module.params[key]) for key in keys))
    after: Mapping[str, Any] = bundle.describe(tree, path, wanted, before)
    if not module.check_mode:
        digest = bundle.write(tree, path, wanted)
        after = bundle.known(path)
    texts = [json.dumps(said, indent=2, sort_keys=True) + "\n" if said else "" for said in (before, after)]
    return {
        "changed": before != after,
        "path": path,
        "sha256": digest if before == after or not module.check_mode else "",
        "size": sum(fact["size"] for fact in after["files"].values()),
        "files": sorted(after["files"]),
        "diff": [{"before_header": found, "after_header": found, "before": texts[0], "after": texts[1]}],
    }
