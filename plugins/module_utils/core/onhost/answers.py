# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions that a host answers by what the modules would do; nothing is changed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from typing import Any

from .. import sizes
from ..build import builds
from ..errors import InvalidInput, LlamaOpsError, NotProven, Prerequisite
from ..files import read_text
from ..host import gpu
from ..instance import change, definition, launch, paste, unit
from ..instance.probe import ProbeError, prove
from ..instance.record import Record
from ..instance.service import Manager
from ..memory import answer, origin, picture
from ..memory.choose import RUNGS
from ..memory.origin import Wanted
from ..memory.plan import Model
from ..model import modelinfo, modelref
from ..model.hub import Hub
from ..names import check_keys
from ..tree import Tree
from . import asked

Given = Mapping[str, Any]
_PLAN = ("model", "revision", "options", "mmproj", "draft", "allow", "ctx_floor", "devices")
_PATIENCE = 60.0  # seconds for one real answer


class Answers:
    """What may be asked: the public methods, each given what stands in `with` of a request."""

    def __init__(self, tree: Tree, manager: Manager) -> None:
        self.tree = tree
        self.manager = manager

    def plan(self, given: Given) -> dict[str, Any]:
        """What `llama_plan` returns for a model, on the devices of this host or on those that are given. Of an `entry`
        of the inventory, `{plan, command_line, warnings}`.
        """
        if "entry" in given:
            return self._of_entry(_of(given, "name", str, "new"), _of(given, "entry", dict, {}))
        check_keys("A plan", given, _PLAN)
        options = answer.canonical(_of(given, "options", dict, {}))
        texts = {key: _of(given, key, str, None) for key in ("revision", "mmproj", "draft")}
        texts = {**texts, **{key: options[name] for key, name in _FILES.items() if options.get(name)}}
        wanted = Wanted(given.get("model"), **texts)
        found = origin.find(wanted, self.tree, Hub.open(None, os.environ.get("HF_TOKEN")))
        devices = _of(given, "devices", list, None)
        devices = gpu.usable(gpu.read()["devices"]) if devices is None else devices
        allow = [str(rung) for rung in _of(given, "allow", list, [])]
        check_keys("allow", allow, RUNGS[2:])
        floor = _of(given, "ctx_floor", int, 4096)
        result = answer.answer(
            Model(found.header), options, devices, allow, floor, mmproj=found.mmproj, draft=found.draft
        )
        return {**result, "table": picture.text(result)}

    def _of_entry(self, name: str, entry: Given) -> dict[str, Any]:
        question, warnings = asked.question(entry, gpu.usable(gpu.read()["devices"]))
        try:
            seen = self.preview({"instance": {"port": 8080, **entry, "name": name}})
        except LlamaOpsError as exc:
            seen = {"command_line": "", "warning": str(exc)}
        warnings += [seen["warning"]] if seen["warning"] else []
        return {"plan": self.plan(question), "command_line": seen["command_line"], "warnings": warnings}

    def resolve(self, given: Given) -> dict[str, Any]:
        """What a reference means, without fetching it: as `gguf_info`, or `{candidates}` where it is not clear."""
        source = modelref.parse(_of(given, "source", str, ""))
        hub = Hub.open(None, os.environ.get("HF_TOKEN"))
        if source.kind != modelref.HUB:
            return modelinfo.read(source, (), None, hub)
        revision, listing = hub.listing(source.location, None)
        found = [{"path": item.path, "size": item.size} for item in listing if item.path.endswith(".gguf")]
        try:
            return {**modelinfo.read(source, (), None, hub), "candidates": found}
        except InvalidInput as exc:
            return {"revision": revision, "candidates": found, "error": str(exc)}

    def preview(self, given: Given) -> dict[str, Any]:
        """What `llama_instance` would write for one instance: `{command_line, unit, plan, build_id, warning}`."""
        entry = dict(_of(given, "instance", dict, {}))
        if entry.get("memory_max") is not None:
            entry["memory_max"] = sizes.to_bytes("memory_max", entry["memory_max"])
        items = definition.read_all([entry], _of(given, "address", str, None))
        keys = {name: secrets.token_urlsafe(32) for item in items for name in item.keys}  # their values do not show
        step = change.plan(self.tree, self.manager, items, keys, preview=True)[0]
        made = step.launch
        record = Record.of(made.facts) if made else None
        return {
            "command_line": made.command.line if made else "",
            "unit": step.after or "",
            "build_id": made.facts["Build"] if made else "",
            "plan": record.document() if record else None,
            "warning": step.warning,
        }

    def capabilities(self, given: Given) -> dict[str, Any]:
        """The capability document of a build, the active one if none is named."""
        build = self._build(_of(given, "build", str, None))
        return {"build": build.id, "document": dict(build.capabilities())}

    def paste(self, given: Given) -> dict[str, Any]:
        """What a command of llama-server means: `{name, definition, yaml, notes}`."""
        build = self._build(_of(given, "build", str, None))
        found = paste.parse(_of(given, "text", str, ""), build.capabilities())
        return {"name": found.name, "definition": found.entry, "yaml": found.yaml, "notes": found.notes}

    def probe(self, given: Given) -> dict[str, Any]:
        """Have an instance give one real answer.

        :raises NotProven: it did not.
        """
        name = _of(given, "name", str, "")
        if name not in self.manager.managed():
            raise InvalidInput(f"There is no instance {name!r} here.")
        facts = unit.facts_of(read_text(self.manager.path(name)) or "")
        key = (read_text(launch.key_path(self.tree, name)) or "").partition("\n")[0] or None
        try:
            return prove(facts.get("Kind", "server"), facts.get("URL", ""), key, _PATIENCE)
        except ProbeError as exc:
            raise NotProven(f"{name} gave no answer: {exc}", "See its log.") from exc

    def _build(self, name: str | None) -> builds.Build:
        there = builds.list_builds(self.tree)
        build = builds.active(self.tree) if name in (None, "", "active") else None
        build = build or next((item for item in there if item.id == name), None)
        if build is None:
            known = ", ".join(item.id for item in there) or "none"
            raise Prerequisite(f"There is no build {name or 'active'} in {self.tree.root}.", f"There are: {known}.")
        return build


_FILES = {"mmproj": "mmproj", "draft": "spec_draft_model"}


def _of(given: Given, key: str, kind: type, default: Any) -> Any:
    """A value of the kind that is wanted, or the default.

    :raises InvalidInput: it is something else.
    """
    value = given.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InvalidInput(f"{key} cannot be {str(value)[:80]!r}.", f"It must be a {kind.__name__}.")
    return value
