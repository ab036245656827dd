# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gguf_info: arguments to a source, headers to a result.

PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core import tree as trees
from ..core.errors import InvalidInput
from ..core.model import modelinfo, modelref
from .gguf_model import HUB_ARGUMENTS, open_hub
from .module import need_libraries

ARGUMENTS: dict[str, dict[str, Any]] = {
    "source": {"type": "str", "required": True},
    "files": {"type": "list", "elements": "str", "default": []},
    "revision": {"type": "str"},
    "root": {"type": "path"},
    **HUB_ARGUMENTS,
}


def look(module: AnsibleModule) -> dict[str, Any]:
    """What the headers of the model say."""
    params = module.params
    source = modelref.parse(params["source"])
    if source.kind != modelref.HUB and (params["files"] or params["revision"]):
        raise InvalidInput("files and revision belong to a Hugging Face reference.")
    for path in params["files"]:
        modelref.safe_path(str(source), path)
    if source.kind == modelref.HUB:
        tree = trees.open_tree(params["root"]) if params["root"] else None
        need_libraries(module, tree, ("huggingface_hub", "huggingface_hub"))
    revision = modelref.check_revision(str(source), params["revision"])
    return modelinfo.read(source, params["files"], revision, open_hub(module))
