# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module gpu_facts in terms of the core.

PRIVATE to the collection.
"""

from __future__ import annotations

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core import command, sandbox
from ..core.build import builds
from ..core.errors import CommandFailed
from ..core.host import gpu, listed, machine
from ..core.tree import Tree, open_tree
from .module import need_libraries

_SECONDS = 30  # a driver that initialises eight GPUs takes a few
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
    facts = gpu.read(expected=expected)
    facts["host"]["storage"] = machine.storage(tree.root) if tree else None
    facts["build"] = _checked(tree, facts["devices"]) if tree else None
    for sentence in facts["build"]["differences"] if facts["build"] else ():
        module.warn(sentence)
    return {"changed": False, "ansible_facts": {"llama_gpu": facts}}


def _checked(tree: Tree, devices: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What the active build sees: `{id, devices, differences}`; None without a build that can be asked."""
    build = builds.active(tree)
    if build is None:
        return None
    argv = [build.tool("llama-server"), "--list-devices"]
    env = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    wrapped = sandbox.wrap(tree, argv, unit=f"llama-devices-{os.getpid()}", seconds=_SECONDS, env=env)
    try:
        seen = listed.parse(command.run(wrapped, timeout=_SECONDS + 10).stdout)
    except CommandFailed as exc:
        return {"id": build.id, "devices": None, "differences": [f"The active build lists no devices: {exc.problem}"]}
    return {"id": build.id, "devices": seen, "differences": listed.differences(gpu.usable(devices), seen)}
