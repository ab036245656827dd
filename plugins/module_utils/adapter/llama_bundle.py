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
from ..core.build import artifact, builds
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
    packed, lacking = _packed(module, tree, path, before)
    given = (tuple(module.params[key]) for key in ("models", "packages", "python_versions"))
    wanted = Wanted(*given, artifacts=(*module.params["artifacts"], *packed))
    after: dict[str, Any] = bundle.describe(tree, path, wanted, before)
    after["files"].update({name: {"size": 0, "sha256": ""} for name in lacking})
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


def _packed(module: AnsibleModule, tree: Tree, folder: str, before: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Pack the wanted builds of this host into the bundle, but for those that it has.

    :returns: the paths of all, and in check mode the names of those that would be packed, whose bytes nobody knows yet.
    """
    active = builds.active(tree)
    ids = [active.id if active and name == "active" else name for name in module.params["builds"]]
    found = {f"{bundle.ARTIFACTS}/{name}.tar.gz": builds.find(tree, name) for name in ids}
    lacking = [name for name in found if not bundle.holds(folder, before, name)]
    if not module.check_mode:
        for name in lacking:
            artifact.pack(tree, found[name], os.path.join(folder, bundle.ARTIFACTS))
        lacking = []
    return [os.path.join(folder, name) for name in found if name not in lacking], lacking
