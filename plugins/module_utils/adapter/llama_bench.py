# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module llama_bench in terms of the core.

PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core import bench, benchdevices, benchresult
from ..core.errors import Prerequisite
from ..core.instance.definition import CACHE_TYPES
from ..core.tree import Tree
from .module import ROOT_ARGUMENTS

_NUMBERS = {"type": "list", "elements": "int"}
TESTS: dict[str, dict[str, Any]] = {
    "n_prompt": {**_NUMBERS, "default": [512]},
    "n_gen": {**_NUMBERS, "default": [128]},
    "n_depth": {**_NUMBERS, "default": [0]},
    "repetitions": {"type": "int", "default": 5},
    "threads": {"type": "int"},
    "batch_size": {"type": "int"},
    "ubatch_size": {"type": "int"},
    "gpu_layers": {"type": "int"},
    "n_cpu_moe": {"type": "int"},
    "cache_type_k": {"type": "str", "choices": list(CACHE_TYPES)},
    "cache_type_v": {"type": "str", "choices": list(CACHE_TYPES)},
    "flash_attn": {"type": "str", "choices": list(bench.FLASH_ATTN)},
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    **ROOT_ARGUMENTS,
    "model": {"type": "str", "required": True},
    "build": {"type": "str", "default": "active"},
    "devices": {"type": "list", "elements": "str", "default": []},
    "tests": {"type": "dict", "options": TESTS, "apply_defaults": True},
    "force": {"type": "bool", "default": False},
    "max_age": {"type": "int"},
    "allow_busy": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 3600},
}


def run(module: AnsibleModule, tree: Tree) -> dict[str, Any]:
    """Measure, unless the same was measured before; in check mode only say which."""
    wanted = module.params
    request = bench.Request(wanted["model"], wanted["build"], tuple(wanted["devices"]), wanted["tests"])
    try:
        plan = bench.make_plan(tree, request)
    except Prerequisite as exc:
        if not module.check_mode:
            raise
        module.warn(f"{exc.problem} An earlier step would bring it; then the benchmark would run.")
        return {"changed": True, "rows": []}
    stored = None if wanted["force"] else benchresult.latest(tree, plan.key, wanted["max_age"])
    if stored is None and not module.check_mode:
        return _result(tree, plan, bench.measure(tree, plan, wanted["timeout"], wanted["allow_busy"]), changed=True)
    if stored is None and not wanted["allow_busy"]:
        for found in benchdevices.disturbers(plan.devices):
            module.warn(f"{found['program']} (pid {found['pid']}) runs; beside it the benchmark would be refused.")
    return _result(tree, plan, stored, changed=stored is None)


def _result(tree: Tree, plan: bench.Plan, record: dict[str, Any] | None, changed: bool) -> dict[str, Any]:
    return {
        "changed": changed,
        "build_id": plan.build_id,
        "model": plan.model,
        "devices": list(plan.devices.ids),
        "parameters": plan.parameters,
        "command": plan.argv,
        "command_line": plan.line,
        "key": plan.key,
        "file": benchresult.path(tree),
        "time": record and record["time"],
        "rows": record["rows"] if record else [],
    }
