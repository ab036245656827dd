# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dictionaries of instances that a host sees, as one list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import LlamaOpsError
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.inventory import merge_instances

DOCUMENTATION = r"""
name: merge_instances
short_description: Merge the dictionaries of instances that a host sees into one list
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Takes the names of variables and their values, each a dictionary of instances by name, and returns the list
    that M(llamaops.llama_cpp.llama_instance) takes.
  - Groups do not overwrite each other this way. Two variables that give one instance different contents are an error.
positional: _input, values
options:
  _input:
    description: Names of variables, for example V(llama_instances) and V(llama_instances__gpu).
    type: list
    elements: str
    required: true
  values:
    description: The values of these variables, in the same order.
    type: list
    elements: dict
    required: true
  defaults:
    description: Values for keys that an instance does not give.
    type: dict
    default: {}
  models:
    description: The known model sets by name; a model that is none of them and no path is taken as a reference.
    type: dict
    default: {}
  restart:
    description: Names of instances that shall restart. Those that shall not run anyway are left as they are.
    type: list
    elements: str
    default: []
  elsewhere:
    description: Names of instances of other hosts, which may stand in O(restart) and O(only) too and mean nothing here.
    type: list
    elements: str
    default: []
  only:
    description: Names of instances; the others are left out. By default there are all of them.
    type: list
    elements: str
    default: []
  state:
    description: What the instances of O(only) shall be, whatever the inventory says. By default what it says.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show the instances of this host
  ansible.builtin.debug:
    msg: >-
      {{ ['llama_instances', 'llama_instances__gpu']
         | llamaops.llama_cpp.merge_instances([{'chat': {'model': 'tiny', 'port': 8080}}, {}], models={'tiny': 'builtin:tiny'}) }}
"""

RETURN = r"""
_value:
  description: The instances, sorted by name.
  type: list
  elements: dict
"""


def merge(
    names: Sequence[str],
    values: Sequence[Mapping[str, Any]],
    defaults: Mapping[str, Any] | None = None,
    models: Mapping[str, Any] | None = None,
    restart: Sequence[str] = (),
    elsewhere: Sequence[str] = (),
    only: Sequence[str] = (),
    state: str = "",
) -> list[dict[str, Any]]:
    try:
        return merge_instances(dict(zip(names, values)), defaults or {}, models or {}, restart, elsewhere, only, state)
    except LlamaOpsError as exc:
        raise AnsibleFilterError(str(exc)) from exc


class FilterModule:
    """Filters of the collection that read the inventory."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"merge_instances": merge}
