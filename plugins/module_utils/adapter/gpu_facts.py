# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module gpu_facts in terms of the core.

PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core.host import gpu
from ..core.onhost import hostfacts
from ..core.tree import open_tree
from .module import need_libraries

ARGUMENTS: dict[str, dict[str, Any]] = {
    "root": {"type": "path"},
    "scope": {"type": "str", "choices": ["auto", "system", "user"], "default": "auto"},
    "expected": {"type": "int"},
}


def run(module: AnsibleModule) -> dict[str, Any]:
    """The facts as a result; starts again in the managed environment where a library is missing."""
    root, expected = module.params["root"], module.params["expected"]
    libraries = [("psutil", "psutil")]
    if expected != 0 and gpu.nvidia_visible():
        libraries.append(("pynvml", "nvidia-ml-py"))
    tree = open_tree(root, module.params["scope"]) if root else None
    need_libraries(module, tree, *libraries)
    facts = hostfacts.read(tree, expected)
    for sentence in facts["build"]["differences"] if facts["build"] else ():
        module.warn(sentence)
    return {"changed": False, "ansible_facts": {"llama_gpu": facts}}
