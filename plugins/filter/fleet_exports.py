# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet as files of monitors and proxies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.fleet import exports

DOCUMENTATION = r"""
name: fleet_exports
short_description: Write what is wanted of a fleet as files for Prometheus, LiteLLM and HAProxy
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Takes the rows of P(llamaops.llama_cpp.fleet_view#filter) and returns the text of each file.
  - Only instances that others can reach are in them; those on loopback, on cordoned hosts or of the kind V(transformers) or
    V(rerank) (not in LiteLLM) are left out. No key is in them, only the name of the variable or the label to find it by.
options:
  _input:
    description: The rows.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the files of a fleet
  ansible.builtin.debug:
    msg: "{{ ({'alpha': {'found': {'unreachable': true}}} | llamaops.llama_cpp.fleet_view).rows | llamaops.llama_cpp.fleet_exports }}"
"""

RETURN = r"""
_value:
  description: The texts by the name of their file, V(prometheus.json), V(litellm.yaml), V(haproxy.cfg) and V(status.json).
  type: dict
"""


def fleet_exports(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    found = [{**row} for row in rows]
    return {
        "prometheus.json": json.dumps(exports.prometheus(found), indent=2) + "\n",
        "litellm.yaml": yaml.safe_dump(json.loads(json.dumps(exports.litellm(found))), sort_keys=False),
        "haproxy.cfg": exports.haproxy(found),
        "status.json": json.dumps(found, indent=2) + "\n",
    }


class FilterModule:
    """Filters of the collection that write files of a fleet."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"fleet_exports": fleet_exports}
