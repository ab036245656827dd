# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether hosts would take an entry: by the definition that the modules use. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import LlamaOpsError
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import definition
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.inventory import merge_instances

_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_SOME_ADDRESS = "10.0.0.1"  # where the inventory computes it


def conflicts(
    name: str, sources: Mapping[str, Mapping[str, Any]], variables: Mapping[str, Any], own: Mapping[str, Any]
) -> list[str]:
    """Why a host would refuse an entry, or the whole of its instances because of it.

    Entries of others that are computed by templates, or wrong without it, are no reason.

    :param sources: the dictionaries of instances by variable, with the entry.
    :param own: the fields of the entry.
    """
    defaults = {
        key: item for key, item in _mapping(variables.get("llama_instances_defaults")).items() if not _computed(item)
    }
    models, address = _mapping(variables.get("llama_models")), variables.get("llama_address")
    address = _SOME_ADDRESS if _computed(address) else str(address) if address else None
    if _computed(own):
        return []
    try:
        definition.read_all(merge_instances({"it": {name: own}}, defaults, models), address)
    except LlamaOpsError as exc:
        return [str(exc)]
    plain = {
        variable: {key: entry for key, entry in entries.items() if not _computed(entry)}
        for variable, entries in sources.items()
        if isinstance(entries, Mapping)
    }
    others = {variable: {k: e for k, e in entries.items() if k != name} for variable, entries in plain.items()}
    try:
        definition.read_all(merge_instances(others, defaults, models), address)
    except LlamaOpsError:
        return []
    try:
        definition.read_all(merge_instances(plain, defaults, models), address)
    except LlamaOpsError as exc:
        return [str(exc)]
    return []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _computed(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_computed(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(_computed(item) for item in value)
    return isinstance(value, str) and bool(_TEMPLATE.search(value))
