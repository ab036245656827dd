# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module llama_build_target in terms of the core.

PRIVATE to the collection.
"""

from __future__ import annotations

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core.build import targets
from ..core.host import gpu
from ..core.tree import Tree
from .module import ROOT_ARGUMENTS, need_libraries

ARGUMENTS: dict[str, dict[str, Any]] = {
    **ROOT_ARGUMENTS,
    "backend": {"type": "str", "choices": ["auto", "cpu", "cuda", "hip", "vulkan"], "default": "auto"},
    "gpus": {"type": "int"},
    "cuda_split": {"type": "str", "choices": ["union", "per_arch"], "default": "union"},
    "cpu": {"type": "str", "choices": ["native", "baseline", "portable"], "default": "native"},
    "builder": {"type": "str"},
}


def run(module: AnsibleModule, tree: Tree) -> dict[str, Any]:
    """Describe what this host needs; on an empty host in check mode without its GPUs, if these cannot be read yet."""
    params = module.params
    backend, gpus, builder = params["backend"], params["gpus"], params["builder"]
    if backend in ("auto", "cuda") and gpus != 0 and gpu.nvidia_visible():
        if module.check_mode and not os.path.exists(tree.venv):
            module.warn("GPUs cannot be read yet: the managed virtual environment is not there.")
            seen = targets.describe(tree, "cpu", params["cpu"], builder=builder)
            return {"changed": False, **seen, "backend": backend}
        need_libraries(module, tree, ("pynvml", "nvidia-ml-py"))
    return {"changed": False, **targets.describe(tree, backend, params["cpu"], gpus, params["cuda_split"], builder)}
