# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The models a host needs, as one list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import LlamaOpsError
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import modellist

DOCUMENTATION = r"""
name: model_sets
short_description: List the models that a host needs
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Takes the model sets of an inventory and its instances, and returns the list that M(llamaops.llama_cpp.gguf_model)
    takes. An instance may name a model set, a path, or a reference such as V(owner/repo:QUANT); a set is added for
    each reference, named after it.
  - One name that means two models is an error.
positional: _input, instances
options:
  _input:
    description: Model sets by name, each a source or a dictionary with one, see O(llamaops.llama_cpp.gguf_model#module:models).
    type: dict
    required: true
  instances:
    description: Dictionaries of instances by name.
    type: list
    elements: dict
    default: []
  defaults:
    description: Values for keys that an instance does not give.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show the models of this host
  ansible.builtin.debug:
    msg: >-
      {{ {'tiny': 'builtin:tiny'}
         | llamaops.llama_cpp.model_sets([{'chat': {'model': 'Qwen/Qwen3-8B-GGUF:Q4_K_M', 'port': 8080}}]) }}
"""

RETURN = r"""
_value:
  description: The models, sorted by name.
  type: list
  elements: dict
"""


def model_sets(
    models: Mapping[str, Any],
    instances: Sequence[Mapping[str, Any]] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    try:
        return modellist.model_sets(models, instances or [], defaults or {})
    except LlamaOpsError as exc:
        raise AnsibleFilterError(str(exc)) from exc


class FilterModule:
    """Filters of the collection that read the models of an inventory."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"model_sets": model_sets}
