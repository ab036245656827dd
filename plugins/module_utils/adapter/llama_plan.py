# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module llama_plan in terms of the core.

PRIVATE to the collection.
"""

from __future__ import annotations

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core import command, sandbox
from ..core.build import builds
from ..core.errors import InvalidInput, Prerequisite
from ..core.host import gpu
from ..core.memory import answer, exact, shards
from ..core.memory.choose import RUNGS
from ..core.memory.plan import Model
from ..core.model import modelset
from ..core.tree import open_tree
from .module import need_libraries

_SECONDS = 120  # a dry run of the largest models takes a few
ARGUMENTS: dict[str, dict[str, Any]] = {
    "model": {"type": "str", "required": True},
    "root": {"type": "path"},
    "scope": {"type": "str", "choices": ["auto", "system", "user"], "default": "auto"},
    "devices": {"type": "raw", "default": "facts"},
    "options": {"type": "dict", "default": {}},
    "mmproj": {"type": "path"},
    "draft": {"type": "path"},
    "allow": {"type": "list", "elements": "str", "choices": list(RUNGS[2:]), "default": []},
    "ctx_floor": {"type": "int", "default": 4096},
    "exact": {"type": "bool", "default": False},
}


def run(module: AnsibleModule) -> dict[str, Any]:
    """The plan as a result."""
    params = module.params
    path, mmproj, draft = _files(params)
    model = Model(shards.read(path))
    result = answer.answer(
        model,
        params["options"],
        _devices(module),
        params["allow"],
        params["ctx_floor"],
        mmproj=os.path.getsize(mmproj) if mmproj else 0,
        draft=shards.read(draft) if draft else None,
    )
    if params["exact"]:
        result["exact"] = _measured(params, path, model, result["plan"])
    return {"changed": False, **result}


def _measured(params: dict[str, Any], path: str, model: Model, plan: dict[str, Any]) -> dict[str, Any]:
    """What the active build says about the plan."""
    if not params["root"]:
        raise InvalidInput("exact asks the active build of a root.", "Set root.")
    tree = open_tree(params["root"], params["scope"])
    build = builds.active(tree)
    if build is None:
        raise Prerequisite(f"There is no active build in {params['root']}.", "Make one with llama_build.")
    devices = answer.devices(plan["devices"])
    workers = [device.id for device in devices if device.backend == "rpc"]
    visible = ",".join(device.id for device in devices if device.backend == "cuda")
    argv = exact.command(build.tool("llama-fit-params"), path, exact.of_options(plan["options"]), workers)
    env = {"CUDA_VISIBLE_DEVICES": visible, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "GGML_NO_BACKTRACE": "1"}
    wrapped = sandbox.wrap(tree, argv, unit=f"llama-plan-{os.getpid()}", seconds=_SECONDS, env=env)
    return exact.report(model, plan["options"], devices, command.run(wrapped, timeout=_SECONDS + 10).stdout)


def _files(params: dict[str, Any]) -> tuple[str, str | None, str | None]:
    """Paths of the model, its projector and its draft: given, or recorded under the name of a model set."""
    model, mmproj, draft = params["model"], params["mmproj"], params["draft"]
    if os.path.isabs(os.path.expanduser(model)):
        return os.path.expanduser(model), mmproj, draft
    if not params["root"]:
        raise InvalidInput(f"The model set {model!r} needs a root, in which its lock file lies.", "Set root.")
    found = modelset.load(open_tree(params["root"], params["scope"]), model)
    if found is None:
        raise Prerequisite(
            f"There is no model set {model!r} in {params['root']}.", "Fetch it with gguf_model, or give a path."
        )
    return found.path, mmproj or found.mmproj, draft


def _devices(module: AnsibleModule) -> list[dict[str, Any]]:
    """The devices as given, or those of this host."""
    given = module.params["devices"]
    if isinstance(given, list) and all(isinstance(item, dict) for item in given):
        return given
    if given != "facts":
        raise InvalidInput("devices is neither a list of devices nor the word facts.")
    libraries = [("psutil", "psutil")]
    if gpu.nvidia_visible():
        libraries.append(("pynvml", "nvidia-ml-py"))
    root = module.params["root"]
    need_libraries(module, open_tree(root, module.params["scope"]) if root else None, *libraries)
    return gpu.usable(gpu.read()["devices"])
