# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's own file of a host as text: instances by name, in an order that stays. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import yaml
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.definition import FIELDS

from . import nodes
from .entry import VARIABLE

HEADER = """---
# Instances of this host that were made in the panel. The role llama_instances merges them with those of other files.
# Read it, commit it and change it like any other file of the inventory; the panel keeps no comments but these.
"""


def parse(text: str | None, where: str) -> dict[str, dict[str, Any]]:
    """The instances in the file by name.

    :raises InvalidInput: it holds something else.
    """
    root = nodes.compose(text or "", where)
    found = nodes.value(root) if root is not None else {}
    instances = found.get(VARIABLE) or {} if isinstance(found, Mapping) else None
    if instances is None or set(found) - {VARIABLE}:
        raise InvalidInput(
            f"{where} holds more than {VARIABLE}.", "Move the rest into another file of that folder, such as main.yml."
        )
    if not isinstance(instances, Mapping) or not all(isinstance(item, Mapping) for item in instances.values()):
        raise InvalidInput(f"{where}: {VARIABLE} must be a dictionary of instances by name.", "Mend it by hand.")
    return {str(name): dict(fields) for name, fields in instances.items()}


def dump(instances: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole file."""
    ordered = {name: _ordered(instances[name]) for name in sorted(instances)}
    words = yaml.safe_dump(
        {VARIABLE: ordered}, sort_keys=False, width=120, allow_unicode=True, default_flow_style=False
    )
    return HEADER + str(words)


def diff(before: str, after: str, file: str) -> str:
    """As patch takes it."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), f"a/{file}", f"b/{file}", lineterm="")
    return "".join(f"{line}\n" for line in lines)


def _ordered(fields: Mapping[str, Any]) -> dict[str, Any]:
    names = [name for name in FIELDS if name in fields]
    return {name: fields[name] for name in [*names, *(each for each in sorted(fields) if each not in names)]}
