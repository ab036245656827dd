# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module gguf_geometry in terms of the core.

PRIVATE to the collection.
"""

from __future__ import annotations

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core.model import modelgeometry, modelref
from ..core.model.modelref import Request, Source
from ..core.tree import open_tree
from .gguf_model import HUB_ARGUMENTS, ITEM, open_hub
from .module import need_libraries

ARGUMENTS: dict[str, dict[str, Any]] = {
    "models": {"type": "list", "elements": "dict", "options": ITEM, "default": []},
    "paths": {"type": "list", "elements": "path", "default": []},
    "remote": {"type": "bool", "default": True},
    "root": {"type": "path"},
    "scope": {"type": "str", "choices": ["auto", "system", "user"], "default": "auto"},
    **HUB_ARGUMENTS,
}


def look(module: AnsibleModule) -> dict[str, Any]:
    """What the headers of the models say, and which were not found."""
    params = module.params
    given = [{key: value for key, value in item.items() if value is not None} for item in params["models"]]
    requests, _absent = modelref.read_all(given)
    requests += [Request(path, Source(modelref.FILE, path)) for path in params["paths"]]
    root = params["root"]
    tree = open_tree(root, params["scope"]) if root and os.path.isdir(os.path.expanduser(root)) else None
    if params["remote"] and any(item.source.kind == modelref.HUB for item in requests):
        need_libraries(module, tree, ("huggingface_hub", "huggingface_hub"))
    found, missing = modelgeometry.read(requests, tree, open_hub(module), params["remote"])
    return {"changed": False, "geometries": found, "missing": missing}
