# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gguf_model: arguments to requests, outcomes to a result.

PRIVATE to the collection.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..core.errors import MissingLibrary
from ..core.model import fetch, mirror, modelgc, modelref, modelset, promise, stores
from ..core.model.fetch import Outcome
from ..core.model.hub import Hub
from ..core.model.modelref import Request
from ..core.model.modelset import ModelSet
from ..core.model.modelsource import Options
from ..core.progress import Progress
from ..core.tree import Tree, ensure
from .llama_bundle import BUNDLE_ARGUMENTS, given
from .module import ROOT_ARGUMENTS, need_libraries

ITEM = {
    "name": {"type": "str", "required": True},
    "source": {"type": "str"},
    "files": {"type": "list", "elements": "str"},
    "revision": {"type": "str"},
    "checksum": {"type": "str"},
    "mmproj": {"type": "str"},
    "draft": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "latest", "absent"], "default": "present"},
}
STORE = {
    "path": {"type": "path", "required": True},
    "mode": {"type": "str", "choices": ["ro", "rw"], "default": "ro"},
    "shared": {"type": "bool", "default": False},
    "require_mount": {"type": "raw", "default": False},
}
HUB_ARGUMENTS: dict[str, dict[str, Any]] = {
    "token_file": {"type": "path", "no_log": False},
    "endpoint": {"type": "str"},
}
ARGUMENTS = {
    **ROOT_ARGUMENTS,
    **HUB_ARGUMENTS,
    **BUNDLE_ARGUMENTS,
    "models": {"type": "list", "elements": "dict", "required": True, "options": ITEM},
    "lock": {"type": "bool", "default": False},
    "offline": {"type": "bool", "default": False},
    "verify": {"type": "bool", "default": False},
    "lock_timeout": {"type": "int", "default": 60},
    "gc": {"type": "bool", "default": False},
    "in_use": {"type": "list", "elements": "path"},
    "stores": {"type": "list", "elements": "dict", "options": STORE, "default": []},
    "writer": {"type": "bool", "default": True},
    "mirror": {"type": "str"},
    "resolved": {"type": "dict", "default": {}},
    "relay_from": {"type": "str"},
    "missing_only": {"type": "bool", "default": False},
    "job": {"type": "str"},
}


def converge(module: AnsibleModule, tree: Tree) -> list[Outcome]:
    """Have the models that are wanted and remove the others; in check mode only find out what that would change."""
    wanted, unwanted = modelref.read_all(module.params["models"])
    options = read_options(module, tree)
    settled = [] if options.verify else [found for item in wanted if (found := fetch.settled(tree, item))]
    recorded = [name for name in unwanted if modelset.is_recorded(tree, name)]
    if len(settled) == len(wanted) and not recorded:
        kept = [Outcome(found.name, found, found, False) for found in settled]
        return kept + [Outcome(name, None, None, False, "absent") for name in unwanted]
    options = with_bundle(module, options)
    names = [found.name for found in settled]
    need_hub(module, tree, [item for item in wanted if item.name not in (*names, *options.resolved)])
    stores.check(options.stores)
    if module.check_mode:
        foreseen = [foresee(module, tree, item, options) for item in wanted]
        return foreseen + [
            Outcome(name, modelset.load(tree, name), None, name in recorded, "absent") for name in unwanted
        ]
    ensure(tree)
    try:
        brought = [fetch.bring(tree, item, options) for item in wanted]
        return brought + [fetch.remove(tree, name, options.wait, options.stores) for name in unwanted]
    finally:
        options.progress.end()


def read_options(module: AnsibleModule, tree: Tree) -> Options:
    """How to fetch."""
    return Options(
        open_hub(module),
        offline=module.params["offline"],
        verify=module.params["verify"],
        wait=module.params["lock_timeout"],
        progress=Progress(tree, module.params["job"]),
        stores=stores.read(tree, module.params["stores"]),
        writer=module.params["writer"],
        resolved=promise.read(module.params["resolved"]),
        mirror=mirror.read(module.params["mirror"]),
    )


def with_bundle(module: AnsibleModule, options: Options) -> Options:
    """The same with what the bundle has, if one is given."""
    found = given(module)
    if found is None:
        return options
    return replace(options, resolved={**promise.read(found.models), **options.resolved}, mirror=found.mirror)


def to_bring(module: AnsibleModule, tree: Tree) -> list[dict[str, Any]]:
    """The files that are missing here, for somebody who brings their bytes; nothing is fetched."""
    options = read_options(module, tree)
    wanted = [item for item in modelref.read_all(module.params["models"])[0] if item.name in options.resolved]
    open_sets = [item for item in wanted if options.verify or not fetch.settled(tree, item)]
    stores.check(options.stores)
    if module.check_mode or not open_sets:
        return []
    ensure(tree)
    return [{"set": item.name, **part} for item in open_sets for part in fetch.missing(tree, item, options)]


def open_hub(module: AnsibleModule) -> Hub:
    """The hub. The token comes from a file or the environment of this host, and is kept out of every result."""
    token = os.environ.get("HF_TOKEN", "")
    if module.params["token_file"]:
        with open(module.params["token_file"], encoding="utf-8", errors="replace") as file:
            token = file.read()
    token = token.strip()
    if token:
        module.no_log_values.add(token)
    return Hub.open(module.params["endpoint"], token)


def need_hub(module: AnsibleModule, tree: Tree, requests: Sequence[Request]) -> None:
    """Make sure that the hub's client can be imported if one of the requests needs it."""
    if module.params["offline"] or all(item.source.kind != modelref.HUB for item in requests):
        return
    if module.check_mode and not os.path.isdir(tree.venv):
        return
    need_libraries(module, tree, ("huggingface_hub", "huggingface_hub"))


def foresee(module: AnsibleModule, tree: Tree, request: Request, options: Options) -> Outcome:
    """What would happen to one model; where an earlier step would install the hub's client, a warning stands for it."""
    try:
        return fetch.foresee(tree, request, options)
    except MissingLibrary as exc:
        module.warn(f"Model {request.name}: {request.source} would be fetched; its files are not known yet. {exc}")
        return Outcome(request.name, modelset.load(tree, request.name), None, True)


def housekeeping(module: AnsibleModule, tree: Tree) -> dict[str, Any]:
    """With `gc`, remove what no set has (in check mode find it); a part of the result, empty without."""
    if not module.params["gc"]:
        return {}
    places = stores.read(tree, module.params["stores"])
    found, used = modelgc.collect(tree, module.check_mode, places, module.params["in_use"])
    unused = [{"path": item.path, "size": item.size} for item in found]
    return {"unused": unused, "in_use": used, "usage": modelgc.usage(tree)}


def result(outcomes: Sequence[Outcome], pins: bool = False) -> dict[str, Any]:
    """The result of the module, with `pins` the entries too that bring the same files again."""
    found: dict[str, Any] = {
        "changed": any(outcome.changed for outcome in outcomes),
        "models": {outcome.name: _shown(outcome) for outcome in outcomes},
        "diff": [
            {
                "before_header": f"model {outcome.name}",
                "after_header": f"model {outcome.name}",
                "before": _text(outcome.before),
                "after": _text(outcome.after),
            }
            for outcome in outcomes
            if outcome.changed
        ],
    }
    if pins:
        after = [outcome.after for outcome in outcomes if outcome.after]
        found["lock"] = {item.name: item.pin() for item in after}
        found["resolved"] = {item.name: item.resolved() for item in after if not item.in_place}
    return found


def _shown(outcome: Outcome) -> dict[str, Any]:
    shown: dict[str, Any] = {"state": outcome.state, "changed": outcome.changed}
    found = outcome.after
    if found is not None:
        facts = found.facts()
        del facts["name"], facts["request"]
        shown.update(facts, size=found.size, sha256=found.files[0].sha256)
    return shown


def _text(found: ModelSet | None) -> str:
    return json.dumps(found.facts(), indent=2, sort_keys=True) + "\n" if found else ""
