# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the instances of a host say about their fronts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import LlamaOpsError
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import definition, front

DOCUMENTATION = r"""
name: front_entries
short_description: List the fronts that the instances of a host ask for
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Takes the instances of a host as P(llamaops.llama_cpp.merge_instances#filter) returns them, and returns one entry for each that has the key C(front).
options:
  _input:
    description: The instances.
    type: list
    elements: dict
    required: true
  address:
    description: The address that C(bind=private) means on this host.
    type: str
    default: ''
  slots:
    description: How many requests those instances answer at a time whose C(parallel) is V(auto), by name, as it was planned.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show the fronts of this host
  ansible.builtin.debug:
    msg: >-
      {{ [{'name': 'chat', 'model': 'tiny', 'port': 18080, 'front': {'port': 8080}}] | llamaops.llama_cpp.front_entries }}
"""

RETURN = r"""
_value:
  description: For each front C(name), C(listen) (address and port), C(port) of the instance, C(slots) (0 where nobody knows) and
    C(wait) in seconds.
  type: list
  elements: dict
"""


def front_entries(
    instances: Sequence[Mapping[str, Any]], address: str = "", slots: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    try:
        wanted = [{key: value for key, value in entry.items() if key != "memory_max"} for entry in instances]
        known = {name: number for name, number in (slots or {}).items() if isinstance(number, int)}
        return front.entries(definition.read_all(wanted, address or None), known)
    except LlamaOpsError as exc:
        raise AnsibleFilterError(str(exc)) from exc


class FilterModule:
    """Filters of the collection that read the fronts of an inventory."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"front_entries": front_entries}
