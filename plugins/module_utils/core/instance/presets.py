# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a presets file of a router says: a section a model (common/preset.cpp), whose keys are long flags.

The plan of a model stands in its section as a comment, beside the flags that realise it: a router takes over other
models while it runs, so its unit says nothing of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..files import read_text
from ..tree import Tree
from .record import VISIBLE, Record, chosen_by_id, named

MOST = 4  # models at a time where --models-max is not given (common/common.h, models_max)
_IN_UNIT = re.compile(r"--models-preset (\S+)")
_MOST_IN_UNIT = re.compile(r"--models-max (\d+)")


def path(tree: Tree, name: str) -> str:
    """The presets file of a router."""
    return os.path.join(tree.instances, name, "models.ini")


def sections(text: str) -> dict[str, str]:
    """The sections of a presets file of ours by name, without comments."""
    return {name: "\n".join(line for line in body.splitlines() if line[:1] != ";") for name, body in _raw(text)}


def facts(text: str | None) -> dict[str, dict[str, str]]:
    """What the comments of each section say, by model: its plan, as `[X-LlamaOps]` of a unit says that."""
    found: dict[str, dict[str, str]] = {}
    for name, body in _raw(text or ""):
        pairs = [line[2:].partition("=") for line in body.splitlines() if line.startswith("; ")]
        found[name] = {key: value for key, _equals, value in pairs}
    return found


def plans(text: str | None) -> dict[str, Record]:
    """The plans in a presets file by model; those that can be understood."""
    found = {name: Record.of(said) for name, said in facts(text).items()}
    return {name: record for name, record in found.items() if record is not None}


def plans_of_unit(text: str) -> dict[str, Record]:
    """The plans of the models of a router by the unit that names their file."""
    named_there = _IN_UNIT.search(text.replace("\\\n", ""))
    return plans(read_text(named_there[1])) if named_there else {}


def most_of_unit(text: str) -> int:
    """How many models a router has loaded at a time, by its unit; 0 for any number."""
    said = _MOST_IN_UNIT.search(text.replace("\\\n", ""))
    return int(said[1]) if said else MOST


def visible(found: Mapping[str, Record]) -> dict[str, str]:
    """The variables by which a router and all its models see the same devices under the same numbers."""
    known = _devices(found)
    return {
        variable: ",".join(str(row["id"]) for row in known[backend])
        for backend, variable in VISIBLE.items()
        if known.get(backend) and chosen_by_id(known[backend])
    }


def numbered(found: Mapping[str, Record]) -> dict[str, Record]:
    """Plans whose devices have the numbers that they have for the router as a whole."""
    known = _devices(found)
    flags = {
        str(row["id"]): named(backend, number)
        for backend, rows in known.items()
        if chosen_by_id(rows)
        for number, row in enumerate(rows)
    }

    def renamed(row: Mapping[str, Any]) -> Mapping[str, Any]:
        flag = flags.get(str(row["id"]))
        return row if flag is None else {**row, "flag": flag, "buffer": flag}

    return {name: replace(one, devices=tuple(map(renamed, one.devices))) for name, one in found.items()}


def together(found: Sequence[Record]) -> Record | None:
    """What the models that are loaded take together; None where none is."""
    if not found:
        return None
    rows: dict[str, dict[str, Any]] = {}
    for row in [row for record in found for row in record.devices]:
        sums = rows.setdefault(str(row["id"]), {**row, "components": {}})["components"]
        for name, size in row["components"].items():
            sums[name] = sums.get(name, 0) + size
    components: dict[str, int] = {}
    for record in found:
        for name, size in record.host.get("components", {}).items():
            components[name] = components.get(name, 0) + size
    host = {"components": components, "needed": sum(record.needed for record in found), "ceiling": None}
    whole = all(record.whole for record in found)
    return Record("", {}, tuple(rows.values()), host, whole=whole)


def _devices(found: Mapping[str, Record]) -> dict[str, list[Mapping[str, Any]]]:
    """The devices of all models, by backend, in an order that their plans do not change."""
    rows = {str(row["id"]): row for record in found.values() for row in record.devices}
    ordered: dict[str, list[Mapping[str, Any]]] = {}
    for name in sorted(rows):
        ordered.setdefault(str(rows[name]["backend"]), []).append(rows[name])
    return ordered


def _raw(text: str) -> list[tuple[str, str]]:
    parts = ("\n" + text).split("\n[")[1:]
    return [(name, body) for name, _bracket, body in (part.partition("]\n") for part in parts)]
