# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module llama_build in terms of the core.

PRIVATE to the collection.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core.build import artifact, backend, building, builds, preflight, recipe, source, source_archive
from ..core.build.blas import VENDORS
from ..core.build.building import Outcome, State
from ..core.build.buildplan import Request
from ..core.build.means import RUNTIMES
from ..core.build.speed import Gate
from ..core.command import ended_by_sigterm
from ..core.host import gpu
from ..core.progress import Progress
from ..core.tree import Tree
from .llama_bundle import BUNDLE_ARGUMENTS
from .llama_bundle import given as given_bundle
from .module import ROOT_ARGUMENTS, need_libraries

_SOURCE: dict[str, dict[str, Any]] = {
    "type": {"type": "str", "choices": ["git", "archive", "sdist", "artifact"], "default": "git"},
    "url": {"type": "str"},
    "ref": {"type": "str"},
    "commit": {"type": "str"},
    "path": {"type": "path"},
    "checksum": {"type": "str"},
    "version": {"type": "str"},
    "build": {"type": "str"},
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    **ROOT_ARGUMENTS,
    **BUNDLE_ARGUMENTS,
    "source": {"type": "dict", "options": _SOURCE, "default": {}},
    "backend": {"type": "str", "choices": ["auto", *backend.ALL], "default": "auto"},
    "cpu": {"type": "str", "choices": ["native", "baseline", "portable"], "default": "native"},
    "architectures": {"type": "list", "elements": "str", "default": []},
    "cuda_home": {"type": "path"},
    "cuda_runtime": {"type": "str", "choices": list(RUNTIMES), "default": "bundle"},
    "rocm_home": {"type": "path"},
    "blas": {"type": "str", "choices": ["auto", *VENDORS, "none"], "default": "auto"},
    "gpus": {"type": "int"},
    "cmake_options": {"type": "dict", "default": {}},
    "jobs": {"type": "int"},
    "activate": {"type": "bool", "default": True},
    "active": {"type": "str"},
    "keep": {"type": "int", "default": 3},
    "force": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "build": {"type": "str"},
    "lock_timeout": {"type": "int", "default": 600},
    "speed_gate": {
        "type": "dict",
        "options": {
            "model": {"type": "str", "required": True},
            "min_speed_ratio": {"type": "float", "default": 0.9},
            "rounds": {"type": "int", "default": 5},
        },
    },
    "ship": {
        "type": "dict",
        "options": {"cache": {"type": "str"}, "builder": {"type": "str"}, "target": {"type": "str", "required": True}},
    },
    "artifacts": {"type": "list", "elements": "str"},
    "refused": {"type": "list", "elements": "str", "default": []},
    "job": {"type": "str"},
}
RULES: dict[str, Any] = {
    "required_if": [("state", "absent", ("build",))],
    "mutually_exclusive": [("active", "build"), ("active", "force")],
}
# fmt: off
_WORDS = (
    "backend", "cpu", "architectures", "cuda_home", "cuda_runtime", "rocm_home", "blas", "gpus", "cmake_options",
    "jobs", "activate", "active", "keep", "force", "state", "build",
)
# fmt: on


def run(module: AnsibleModule, tree: Tree) -> dict[str, Any]:
    """Bring the builds of a root to what the arguments say, and describe them."""
    params = module.params
    _need_libraries(module, tree)
    given = {word: params[word] for word in _WORDS}
    gate = params["speed_gate"]
    given["gate"] = Gate(gate["model"], gate["min_speed_ratio"], gate["rounds"]) if gate else None
    given["refused"] = tuple(recipe.check_build_id(name) for name in params["refused"])
    request = Request(_source(module, tree), artifacts=tuple(params["artifacts"] or ()), **given)
    progress = Progress(tree, params["job"])
    try:
        with ended_by_sigterm():
            outcome = building.ensure(tree, request, module.check_mode, params["lock_timeout"], progress.say)
    finally:
        progress.end()
    for warning in outcome.plan.warnings:
        module.warn(warning)
    result = _result(tree, outcome)
    known = params["artifacts"]
    if known is not None and outcome.build and not module.check_mode and outcome.build.id not in known:
        result["artifact"] = asdict(artifact.pack(tree, outcome.build))
    return result


def _source(module: AnsibleModule, tree: Tree) -> source.Source:
    """Where llama.cpp comes from: in the bundle, if there is one and nothing else says where.

    A build that is here needs no bundle, which may be gone by then.
    """
    given = {key: value for key, value in module.params["source"].items() if value is not None}
    here = any(build.id == given.get("build") and build.whole() for build in builds.list_builds(tree))
    elsewhere = given.get("type", "git") == "git" or {"url", "path"} & set(given)
    bundle = None if here or elsewhere else given_bundle(module)
    if bundle:
        known = source_archive.known_hash(given.get("version")) if given["type"] == "sdist" else None
        path, checksum = bundle.artifact(given.get("build"), given.get("checksum") or known)
        given.update(path=path, checksum=checksum)
    return source.read(given)


def _need_libraries(module: AnsibleModule, tree: Tree) -> None:
    """Where NVIDIA GPUs count for the build, their library must be there; not so on an empty host in check mode."""
    params = module.params
    build = params["state"] == "present" and not params["active"] and params["source"].get("type") != "artifact"
    counts = build and params["backend"] in ("auto", "cuda") and params["gpus"] != 0 and gpu.nvidia_visible()
    if counts and not (module.check_mode and not os.path.exists(tree.venv)):
        need_libraries(module, tree, ("pynvml", "nvidia-ml-py"))


def _result(tree: Tree, outcome: Outcome) -> dict[str, Any]:
    plan, build, means = outcome.plan, outcome.build, outcome.plan.means
    return {
        "changed": plan.changes,
        "build_id": plan.build_id,
        "path": tree.build(plan.build_id) if plan.build_id else None,
        "compiled": plan.compile,
        "received": plan.receive,
        "compile_seconds": build.manifest["compile"]["seconds"] if build and plan.compile else 0.0,
        "backend": {"name": means.choice.backend, "reason": means.choice.reason} if means else None,
        "blas": means.blas.as_dict() if means else None,
        "preflight": preflight.as_dicts(plan.rows),
        "active": outcome.after.active,
        "previous": outcome.after.previous,
        "outdated": builds.outdated(tree, outcome.after.active),
        "removed": list(plan.remove),
        "binaries": {name: build.tool(name) for name in build.tools()} if build else {},
        "manifest": dict(build.manifest) if build else {},
        "diff": {"before": _text(outcome.before), "after": _text(_named(outcome))},
    }


def _named(outcome: Outcome) -> State:
    """The state after a run, with words for a build whose id cannot be told beforehand."""
    plan, after = outcome.plan, outcome.after
    if not plan.compile or plan.build_id:
        return after
    return State("a new build" if plan.activate else after.active, after.previous, ("a new build", *after.ids))


def _text(state: State) -> dict[str, Any]:
    return {"active": state.active, "previous": state.previous, "builds": list(state.ids)}
