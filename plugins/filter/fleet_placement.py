# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placing the models of a fleet on its hosts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import LlamaOpsError
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.place import fleet as fleets

DOCUMENTATION = r"""
name: fleet_placement
short_description: Place the models of a fleet on the GPUs of its hosts
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Takes the site variable C(llama_fleet), what is known of every host, and the geometries of the models, and returns
    where each replica goes, why, and what the variables of each host become.
  - What stands stays, unless it cannot. The same input gives the same bytes.
  - The playbook C(llamaops.llama_cpp.place) gathers the input and writes the files.
positional: _input, hosts, geometries
options:
  _input:
    description: C(llama_fleet), a dictionary of entries by name.
    type: dict
    required: true
  hosts:
    description:
      - By host a dictionary with C(facts) (C(ansible_facts['llama_gpu'])), C(labels) (its groups), C(others) (dictionaries
        of instances that were not placed), C(instances) and C(records) (C(llama_instances__placed) and C(llama_placement) as
        they are), C(defaults) (C(llama_instances_defaults)) and C(zone) (hosts of one zone may work on one model).
    type: dict
    required: true
  geometries:
    description: What M(llamaops.llama_cpp.gguf_geometry) returned of the models.
    type: dict
    required: true
  models:
    description: C(llama_models), the model sets by name.
    type: dict
    default: {}
seealso:
  - module: llamaops.llama_cpp.gguf_geometry
  - module: llamaops.llama_cpp.gpu_facts
"""

EXAMPLES = r"""
- name: Show where the models would go
  ansible.builtin.debug:
    msg: "{{ (llama_fleet | llamaops.llama_cpp.fleet_placement(hosts, read.geometries)).lines }}"
"""

RETURN = r"""
_value:
  description:
    - C(documents) are the variables of every host, C(files) the text of the files of those that differ from what stands,
      C(refused) the names of replicas without a place, C(moves) sentences about replicas that stand elsewhere then, and
      C(lines) all of it for a terminal.
  type: dict
"""

_HEAD = """\
---
# Written by the playbook llamaops.llama_cpp.place. Change llama_fleet and run it again. To wish for another place, leave
# only fleet, replica and devices in a record of llama_placement.
"""


def fleet_placement(
    fleet: Mapping[str, Any],
    hosts: Mapping[str, Any],
    geometries: Mapping[str, Any],
    models: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    try:
        found = fleets.answer(fleet, hosts, json.loads(json.dumps(geometries)), models or {})
    except LlamaOpsError as exc:
        raise AnsibleFilterError(str(exc)) from exc
    texts = {
        name: _HEAD + yaml.safe_dump(found["documents"][name], sort_keys=False, width=120) for name in found["changed"]
    }
    return {**found, "files": texts}


def fleet_models(
    fleet: Mapping[str, Any], hosts: Mapping[str, Any], models: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    try:
        return fleets.needed(fleet, hosts, models or {})
    except LlamaOpsError as exc:
        raise AnsibleFilterError(str(exc)) from exc


class FilterModule:
    """Filters of the collection that place models."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"fleet_placement": fleet_placement, "fleet_models": fleet_models}
