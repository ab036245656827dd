# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""llama_instance and llama_instance_info: arguments to instances, changes to a result.

PRIVATE to the collection.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core import lock, sizes
from ..core.build import builds
from ..core.errors import LlamaOpsError, NotProven, Prerequisite
from ..core.host import gpu
from ..core.instance import (
    adoption,
    change,
    cordon,
    definition,
    deploy,
    described,
    keys,
    paste,
    placement,
    programs,
    prune,
    service,
    swap,
)
from ..core.instance.change import Step
from ..core.instance.processes import Found
from ..core.instance.record import Record
from ..core.instance.service import Manager
from ..core.instance.values import AUTO
from ..core.tree import Tree, ensure
from .module import ROOT_ARGUMENTS, need_libraries

CACHE_TYPE = {"type": "str", "choices": [*definition.CACHE_TYPES, AUTO]}
PLAN = {
    "allow": {"type": "list", "elements": "str", "choices": list(placement.ALLOWED_RUNGS)},
    "ctx_floor": {"type": "int"},
    "exact": {"type": "bool"},
    "force": {"type": "bool"},
    "allow_mismatch": {"type": "bool"},
}
# the fields of an instance; those of `raw` take several forms, which the core checks
ITEM: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": list(definition.KINDS)},
    "state": {"type": "str", "choices": list(definition.STATES)},
    "model": {"type": "str"},
    "mmproj": {"type": "str"},
    "lora": {"type": "list", "elements": "raw"},
    "spec": {"type": "dict"},
    "models": {"type": "dict"},
    "alias": {"type": "list", "elements": "str"},
    "port": {"type": "int"},
    "bind": {"type": "str"},
    "keys": {"type": "list", "elements": "str", "no_log": False},
    "tls": {"type": "dict", "options": {"cert": {"type": "path"}, "key": {"type": "path", "no_log": False}}},
    "devices": {"type": "raw"},
    "rpc": {"type": "list", "elements": "dict"},
    "ctx_size": {"type": "raw"},
    "parallel": {"type": "raw"},
    "cache_type_k": CACHE_TYPE,
    "cache_type_v": CACHE_TYPE,
    "gpu_layers": {"type": "raw"},
    "tensor_split": {"type": "raw"},
    "split_mode": {"type": "str", "choices": list(placement.SPLIT_MODES)},
    "main_gpu": {"type": "int"},
    "cpu_moe": {"type": "bool"},
    "n_cpu_moe": {"type": "raw"},
    "plan": {"type": "dict", "options": PLAN},
    "jinja": {"type": "bool"},
    "reasoning_format": {"type": "str"},
    "chat_template_file": {"type": "path"},
    "slots": {"type": "bool"},
    "metrics": {"type": "bool"},
    "log_level": {"type": "str", "choices": list(definition.LOG_LEVELS)},
    "proof": {"type": "str", "choices": list(definition.PROOFS)},
    "build": {"type": "str"},
    "options": {"type": "dict"},
    "allow_unsafe": {"type": "list", "elements": "str"},
    "env": {"type": "dict"},
    "restart": {"type": "str", "choices": list(definition.RESTARTS)},
    "start_timeout": {"type": "int"},
    "drain_timeout": {"type": "int"},
    "memory_max": {"type": "str"},
    "front": {"type": "dict"},
    "adopt": {"type": "raw"},
}
MANAGER = {"type": "str", "choices": ["auto", "systemd", "supervisor"], "default": "auto"}
ARGUMENTS = {
    **ROOT_ARGUMENTS,
    "manager": MANAGER,
    "instances": {"type": "list", "elements": "dict", "required": True, "options": ITEM},
    "keys": {"type": "dict", "no_log": True},
    "made_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "address": {"type": "str"},
    "purge": {"type": "bool", "default": False},
    "prune": {"type": "str", "choices": list(prune.HOW), "default": prune.REPORT},
    "recover": {"type": "bool", "default": False},
    "lock_timeout": {"type": "int", "default": 60},
}
INFO_ARGUMENTS = {
    **ROOT_ARGUMENTS,
    "manager": MANAGER,
    "names": {"type": "list", "elements": "str"},
    "parse": {"type": "str", "no_log": True},
}


def read_instances(params: Mapping[str, Any]) -> list[definition.Instance]:
    """The instances of the arguments, checked; sizes in bytes."""
    entries = [dict(entry) for entry in params["instances"]]
    for entry in entries:
        if entry.get("memory_max") is not None:
            entry["memory_max"] = sizes.to_bytes(f"Instance {entry['name']!r}: memory_max", entry["memory_max"])
        if params["recover"]:  # nothing that serves is restarted
            entry["restart"] = "never"
            entry["state"] = "started" if entry.get("state") == "restarted" else entry.get("state")
    return definition.read_all(entries, params["address"])


def plan(module: AnsibleModule, tree: Tree, manager: Manager) -> tuple[list[Step], list[str]]:
    """The steps for all instances, and the names of managed instances that are not listed."""
    wanted = read_instances(module.params)
    orphans = change.orphans(manager, wanted)
    stands = cordon.read(tree)
    if stands:  # nothing starts here; what leaves may go
        module.warn(f"This host is cordoned {stands.text}. Nothing starts here until the playbook uncordon.")
        wanted = [item for item in wanted if item.state == "absent"]
    if module.params["purge"] or module.params["prune"] == prune.REMOVE:
        wanted += [definition.Instance(name=name, state="absent") for name in orphans]
    known = keys.values(tree, module.params["keys"] or {}, module.params["made_keys"])
    stops = prune.stops(tree, manager, orphans) if module.params["prune"] == prune.STOP else []
    steps = change.plan(tree, manager, wanted, known, module.check_mode, device_facts(module, tree), stops)
    return [*stops, *steps], orphans


def device_facts(module: AnsibleModule, tree: Tree) -> Callable[[], Mapping[str, Any]]:
    """What reads the devices of this host, with the libraries that it needs."""

    def read() -> Mapping[str, Any]:
        libraries = [("psutil", "psutil")]
        if gpu.nvidia_visible():
            libraries.append(("pynvml", "nvidia-ml-py"))
        need_libraries(module, tree, *libraries)
        return gpu.read()

    return read


def converge(
    module: AnsibleModule, tree: Tree, manager: Manager
) -> tuple[list[Step], list[str], dict[str, dict[str, Any]]]:
    """Plan and, unless this is check mode, apply: the steps, the orphans, and what each instance proved."""

    def look() -> tuple[list[Step], list[str]]:
        return plan(module, tree, manager)

    purpose, seconds = "llama_instance", module.params["lock_timeout"]
    steps, orphans = look() if module.check_mode else lock.settled(tree, purpose, seconds, look)
    imported = imports(module, tree, steps)
    if module.check_mode:
        return steps, orphans, imported
    if not any(step.actions for step in steps):
        return steps, orphans, {**_apply(module, tree, manager, steps), **imported}
    ensure(tree)
    with lock.hold(tree, purpose, seconds):
        keys.make(tree, module.params["made_keys"])
        programs.install(tree)  # after an update of the collection, units may call what was not there
        for warning in manager.prepare():
            module.warn(warning)
        steps, orphans = look()  # what another run did while we waited counts
        proofs = _apply(module, tree, manager, steps)
    adoptees = {name: {**proofs.get(name, {}), "imported": found["imported"]} for name, found in imported.items()}
    return steps, orphans, {**proofs, **adoptees}


def _apply(module: AnsibleModule, tree: Tree, manager: Manager, steps: Sequence[Step]) -> dict[str, dict[str, Any]]:
    """Apply the steps; when a host is brought back, each on its own, so that one that fails stops no other."""
    facts = device_facts(module, tree)
    if not module.params["recover"]:
        return deploy.apply(tree, manager, steps, facts)
    proofs: dict[str, dict[str, Any]] = {}
    failed: list[LlamaOpsError] = []
    for step in steps:
        try:
            proofs.update(deploy.apply(tree, manager, [step], facts))
        except LlamaOpsError as exc:
            failed.append(exc)
    if failed:
        problems = " ".join(exc.problem for exc in failed)
        raise NotProven(problems, f"{failed[0].remedy} All others were brought back.", **failed[0].details)
    return proofs


def imports(module: AnsibleModule, tree: Tree, steps: Sequence[Step]) -> dict[str, dict[str, Any]]:
    """By instance, the entry of an inventory that gives the same server as the process that is adopted."""
    found = {step.name: step.adoptee for step in steps if step.adoptee}
    return {name: {"imported": imported(module, tree, adoptee)} for name, adoptee in found.items()}


def imported(module: AnsibleModule, tree: Tree, found: Found) -> dict[str, Any]:
    """As `described.imported`, with the libraries of this host."""
    return described.imported(tree, found, device_facts(module, tree))


def warn(module: AnsibleModule, steps: Sequence[Step], proofs: Mapping[str, Mapping[str, Any]]) -> None:
    """Pass on what a person should know though nothing failed."""
    ambient = "/etc/llama.cpp/config.ini"
    warnings = [step.warning for step in steps if step.warning]
    drafts = [proof["speculation"]["warning"] for proof in proofs.values() if "speculation" in proof]
    warnings += [warning for warning in drafts if warning]
    for step in steps:
        broken_off = swap.broken_off(step.instance, proofs.get(step.name, {}).get("cut", 0))
        if broken_off:
            warnings.append(f"Instance {step.name!r}: {broken_off.strip()}")
    if os.path.exists(ambient):
        warnings.append(f"{ambient} exists; every llama.cpp program outside the system scope's units reads it.")
    for warning in warnings:
        module.warn(warning)


def result(
    manager: Manager, steps: Sequence[Step], orphans: Sequence[str], proofs: Mapping[str, Any], address: str | None
) -> dict[str, Any]:
    """The result of the module."""
    return {
        "changed": any(step.actions for step in steps),
        "instances": {step.name: _shown(manager, step, proofs.get(step.name, {}), address) for step in steps},
        "orphans": list(orphans),
        "manager": manager.kind,
        "hardening": manager.hardening,
        "diff": [
            {"before_header": manager.path(step.name), "before": step.before or "", "after": step.after or ""}
            for step in steps
            if step.before != step.after
        ]
        + [
            {
                "before_header": f"models of {step.name}",
                "before": step.presets_before or "",
                "after": step.presets_after or "",
            }
            for step in steps
            if "presets" in step.actions
        ],
    }


_ASIDE = ("placement", "adoption", "imported")  # of what apply returns, what is shown elsewhere in a result


def _shown(manager: Manager, step: Step, proof: Mapping[str, Any], address: str | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "state": step.instance.state,
        "changed": bool(step.actions),
        "actions": list(step.actions),
        "restart_pending": step.restart_pending,
        "cut": proof.get("cut", 0),
        "unit": manager.path(step.name),
    }
    if step.way:
        shown["change"], shown["change_reason"] = step.way.kind, step.way.why
    if step.launch is not None:
        shown["build_id"] = step.launch.facts["Build"]
        shown["model"] = step.launch.facts["Model"]
        shown["url"] = step.instance.url.partition("#")[0]
        shown["endpoint"] = endpoint(step.instance, address)
        shown["command"] = list(step.launch.command.argv)
        shown["command_line"] = step.launch.command.line
        record = Record.of(step.launch.facts)
        if record is not None:
            shown["plan"] = record.document()
    if step.adoptee is not None:
        done = {**proof.get("adoption", {}), **proof.get("imported", {})}
        shown["adoption"] = adoption.shown(step.adoptee, done)
    if step.instance.wanted:
        shown["pid"] = manager.status(step.name).pid
        beside = ("placement", "adoption", "imported", "cut")
        shown["proof"] = {key: value for key, value in proof.items() if key not in beside}
        shown["adopted"] = step.status.adopted or "adopt" in step.actions
        placed = proof.get("placement") or {}
        shown.update({key: placed[key] for key in ("residency", "residency_reasons", "actual") if key in placed})
    return shown


def endpoint(item: definition.Instance, address: str | None) -> str:
    """Where clients reach an instance: its own address, or the host's when it listens on all."""
    if item.host not in ("0.0.0.0", "::"):
        return item.url.partition("#")[0]
    return f"{'https' if item.tls else 'http'}://{address or socket.gethostname()}:{item.port}"


def info(module: AnsibleModule, tree: Tree) -> dict[str, Any]:
    """The result of llama_instance_info: what is there, or what a pasted command means."""
    if not module.params["parse"]:
        facts = device_facts(module, tree)
        found = described.describe(tree, choose_manager(module, tree), module.params["names"] or (), facts)
        return {"changed": False, **found}
    build = builds.active(tree)
    if build is None:
        raise Prerequisite(f"No build is active in {tree.root}.", "A command is read with the flags of a build.")
    found = paste.parse(module.params["parse"], build.capabilities())
    parsed = {"name": found.name, "definition": found.entry, "yaml": found.yaml, "notes": found.notes}
    return {"changed": False, "instances": {}, "parsed": parsed}


def made_keys(module: AnsibleModule, tree: Tree) -> dict[str, str]:
    """Where the keys are that this host made, by name."""
    return {name: keys.path(tree, name) for name in module.params["made_keys"]}


def choose_manager(module: AnsibleModule, tree: Tree) -> Manager:
    """The service manager that the argument `manager` names."""
    return service.choose(tree, module.params["manager"])
