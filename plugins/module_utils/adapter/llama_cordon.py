# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module llama_cordon in terms of the core.

PRIVATE to the collection.
"""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core import lock
from ..core.instance import cordon, service
from ..core.tree import Tree, ensure
from .module import ROOT_ARGUMENTS

ARGUMENTS: dict[str, dict[str, Any]] = {
    **ROOT_ARGUMENTS,
    "manager": {"type": "str", "choices": ["auto", "systemd", "supervisor"], "default": "auto"},
    "state": {"type": "str", "choices": ["cordoned", "uncordoned"], "default": "cordoned"},
    "by": {"type": "str", "default": ""},
    "reason": {"type": "str", "default": ""},
    "drain_timeout": {"type": "int", "default": 300},
    "lock_timeout": {"type": "int", "default": 60},
}


def run(module: AnsibleModule, tree: Tree) -> dict[str, Any]:
    """Take the host out of service, or let it serve again."""
    before = cordon.read(tree)
    if module.params["state"] == "uncordoned":
        if before is not None and not module.check_mode:
            cordon.lift(tree)
        return {**_result(tree, before, None, []), "cut": 0}
    manager = service.choose(tree, module.params["manager"])
    after = cordon.wanted(before, module.params["by"], module.params["reason"])
    names, cut = cordon.up(manager), 0
    if not module.check_mode and (names or before != after):
        ensure(tree)
        with lock.hold(tree, "llama_cordon", module.params["lock_timeout"]):
            names = cordon.up(manager)  # what another run did while we waited counts
            cut = cordon.put_up(tree, manager, after, names, module.params["drain_timeout"])
    if cut:
        seconds = module.params["drain_timeout"]
        module.warn(f"{cut} answers took longer than drain_timeout ({seconds} s) and broke off.")
    return {**_result(tree, before, after, names), "cut": cut}


def _result(tree: Tree, before: cordon.Cordon | None, after: cordon.Cordon | None, names: list[str]) -> dict[str, Any]:
    return {
        "changed": before != after or bool(names),
        "cordon": after.shown() if after else None,
        "stopped": names,
        "diff": {"before_header": cordon.path(tree), "before": _text(before), "after": _text(after)},
    }


def _text(said: cordon.Cordon | None) -> str:
    return json.dumps(said.document(), indent=2, sort_keys=True) + "\n" if said else ""
