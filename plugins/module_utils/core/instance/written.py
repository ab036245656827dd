# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""May this version of the collection touch an instance that another version may have written?"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from .. import schema
from ..files import read_json
from ..tree import Tree
from . import launch, record, unit


def check(tree: Tree, name: str, path: str, text: str) -> None:
    """Refuse a unit, its plan or its record of a newer schema; older ones are read as they are.

    :param path: of the unit file, `text` is its content.
    :raises InvalidInput: with the way out; nothing is touched.
    """
    facts = unit.facts_of(text)
    schema.check(_number(facts.get("Schema", "0")), unit.SCHEMA, path)
    schema.check(_planned(facts), record.SCHEMA, f"The plan in {path}")
    remembered = os.path.join(launch.folder(tree, name), "instance.json")
    schema.read(read_json(remembered), unit.SCHEMA, remembered)


def _planned(facts: Mapping[str, str]) -> int:
    try:
        plan: Any = json.loads(facts.get(record.PLAN, "{}"))
    except ValueError:
        return 0
    return _number(str(plan.get(schema.KEY, 0))) if isinstance(plan, dict) else 0


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
