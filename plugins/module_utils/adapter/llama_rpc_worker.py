# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""llama_rpc_worker: arguments to workers, changes to a result.

PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core import lock
from ..core.errors import InvalidInput
from ..core.instance import programs, service
from ..core.instance.systemd import Systemd
from ..core.tree import Tree, ensure
from ..core.worker import definition, deploy
from ..core.worker.definition import Worker
from .llama_instance import device_facts
from .module import ROOT_ARGUMENTS

ARGUMENTS: dict[str, dict[str, Any]] = {
    **ROOT_ARGUMENTS,
    "workers": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": list(definition.STATES)},
            "port": {"type": "int"},
            "client": {"type": "str"},
            "devices": {"type": "raw"},
            "threads": {"type": "int"},
            "cache_quota": {"type": "str"},
            "memory_max": {"type": "str"},
            "build": {"type": "str"},
        },
    },
    "address": {"type": "str"},
    "network": {"type": "str"},
    "purge": {"type": "bool", "default": False},
    "lock_timeout": {"type": "int", "default": 60},
}


def converge(module: AnsibleModule, tree: Tree) -> dict[str, Any]:
    """Bring the workers to what the arguments say; the result of the module."""
    wanted = definition.read_all(module.params["workers"], module.params["address"], module.params["network"])
    manager = _manager(tree, wanted)
    if manager is None:
        return {"changed": False, "workers": {}, "orphans": []}

    def look() -> tuple[list[deploy.Step], list[str]]:
        return _plan(module, tree, manager, wanted)

    purpose, seconds = "llama_rpc_worker", module.params["lock_timeout"]
    steps, orphans = look() if module.check_mode else lock.settled(tree, purpose, seconds, look)
    if any(step.actions for step in steps) and not module.check_mode:
        ensure(tree)
        with lock.hold(tree, purpose, seconds):
            programs.install(tree)
            steps, orphans = look()  # what another run did while we waited counts
            deploy.apply(manager, steps)
    for step in steps:
        if step.warning:
            module.warn(step.warning)
    return _result(manager, steps, orphans)


def _manager(tree: Tree, wanted: list[Worker]) -> Systemd | None:
    """systemd of the system; None where none can be and nothing is wanted."""
    manager = service.choose(tree) if tree.system and service.has_systemd() else None
    if isinstance(manager, Systemd):
        return manager
    if not wanted:
        return None
    raise InvalidInput(
        "A worker has neither password nor encryption: only systemd, as root, can close it to all but its head.",
        "Use scope: system on a host with systemd.",
    )


def _plan(
    module: AnsibleModule, tree: Tree, manager: Systemd, wanted: list[Worker]
) -> tuple[list[deploy.Step], list[str]]:
    orphans = deploy.orphans(manager, wanted)
    gone = [Worker(name, state="absent") for name in orphans] if module.params["purge"] else []
    return deploy.plan(tree, manager, [*gone, *wanted], module.check_mode, device_facts(module, tree)), orphans


def _result(manager: Systemd, steps: list[deploy.Step], orphans: list[str]) -> dict[str, Any]:
    found = deploy.standing(manager)
    found.update({step.worker.name: deploy.shown(manager, step) for step in steps})
    return {
        "changed": any(step.actions for step in steps),
        "workers": found,
        "orphans": orphans,
        "diff": [
            {"before_header": manager.path(step.service), "before": step.before or "", "after": step.after or ""}
            for step in steps
            if step.before != step.after
        ],
    }
