# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module llama_plan in terms of the core.

PRIVATE to the collection.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core import command, sandbox
from ..core.build import builds
from ..core.errors import InvalidInput, Prerequisite
from ..core.gguf import sparse
from ..core.host import gpu
from ..core.memory import answer, exact, origin, picture
from ..core.memory.choose import RUNGS
from ..core.memory.origin import Origin, Wanted
from ..core.memory.plan import Model
from ..core.tree import Tree, open_tree
from .gguf_model import HUB_ARGUMENTS, open_hub
from .module import need_libraries

_SECONDS = 120  # a dry run of the largest models takes a few
ARGUMENTS: dict[str, dict[str, Any]] = {
    "model": {"type": "raw", "required": True},
    "revision": {"type": "str"},
    "root": {"type": "path"},
    "scope": {"type": "str", "choices": ["auto", "system", "user"], "default": "auto"},
    "devices": {"type": "raw", "default": "facts"},
    "options": {"type": "dict", "default": {}},
    "mmproj": {"type": "str"},
    "draft": {"type": "str"},
    "allow": {"type": "list", "elements": "str", "choices": list(RUNGS[2:]), "default": []},
    "ctx_floor": {"type": "int", "default": 4096},
    "exact": {"type": "bool", "default": False},
    **HUB_ARGUMENTS,
}


def run(module: AnsibleModule) -> dict[str, Any]:
    """The plan as a result."""
    params = module.params
    tree = open_tree(params["root"], params["scope"]) if params["root"] else None
    options = answer.canonical(params["options"])
    found = _origin(module, tree, options)
    model = Model(found.header)
    result = answer.answer(
        model, options, _devices(module, tree), params["allow"], params["ctx_floor"], found.mmproj, found.draft
    )
    if params["exact"]:
        result["exact"] = _measured(tree, found, model, result["plan"])
    return {"changed": False, **result, "table": picture.text(result), "svg": picture.svg(result)}


def _origin(module: AnsibleModule, tree: Tree | None, options: Mapping[str, Any]) -> Origin:
    """The headers of the model, its projector and its draft."""
    params = module.params
    files = {}
    for name, option in (("mmproj", "mmproj"), ("draft", "spec_draft_model")):
        if params[name] and options.get(option):
            raise InvalidInput(f"{name} is given twice, also as the option {option}.")
        files[name] = _expanded(params[name] or options.get(option))
    wanted = Wanted(_expanded(params["model"]), params["revision"], **files)
    if origin.needs_hub(wanted, tree):
        need_libraries(module, tree, ("huggingface_hub", "huggingface_hub"))
    return origin.find(wanted, tree, open_hub(module))


def _expanded(value: Any) -> Any:
    """With the home folder for a leading tilde, as `path` options have it."""
    return os.path.expanduser(value) if isinstance(value, str) else value


def _measured(tree: Tree | None, found: Origin, model: Model, plan: dict[str, Any]) -> dict[str, Any]:
    """What the active build says about the plan."""
    if tree is None:
        raise InvalidInput("exact asks the active build of a root.", "Set root.")
    build = builds.active(tree)
    if build is None:
        raise Prerequisite(f"There is no active build in {tree.root}.", "Make one with llama_build.")
    devices = answer.devices(plan["devices"])
    workers = [device.id for device in devices if device.backend == "rpc"]
    visible = ",".join(device.id for device in devices if device.backend == "cuda")
    env = {"CUDA_VISIBLE_DEVICES": visible, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "GGML_NO_BACKTRACE": "1"}
    with _file(tree, found, model) as path:
        argv = exact.command(build.tool("llama-fit-params"), path, exact.of_options(plan["options"]), workers)
        wrapped = sandbox.wrap(tree, argv, unit=f"llama-plan-{os.getpid()}", seconds=_SECONDS, env=env)
        return exact.report(model, plan["options"], devices, command.run(wrapped, timeout=_SECONDS + 10).stdout)


@contextlib.contextmanager
def _file(tree: Tree, found: Origin, model: Model) -> Iterator[str]:
    """The file of the model; of one that lies elsewhere, a file with its header and length."""
    if found.path is not None:
        yield found.path
        return
    # in the root itself, which nobody else can write, and readable: the build runs as somebody else
    with tempfile.TemporaryDirectory(prefix=".plan-", dir=tree.root) as folder:
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "model.gguf")
        sparse.write_like(path, found.header, model.hparams.vocabulary)
        os.chmod(path, 0o644)
        yield path


def _devices(module: AnsibleModule, tree: Tree | None) -> list[dict[str, Any]]:
    """The devices as given, or those of this host."""
    given = module.params["devices"]
    if isinstance(given, list) and all(isinstance(item, dict) for item in given):
        return given
    if given != "facts":
        raise InvalidInput("devices is neither a list of devices nor the word facts.")
    libraries = [("psutil", "psutil")]
    if gpu.nvidia_visible():
        libraries.append(("pynvml", "nvidia-ml-py"))
    need_libraries(module, tree, *libraries)
    return gpu.usable(gpu.read()["devices"])
