# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The models that several hosts need, as one list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import LlamaOpsError
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import modellist

DOCUMENTATION = r"""
name: common_models
short_description: List the models that several hosts need together
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Takes the lists of several hosts, as P(llamaops.llama_cpp.model_sets#filter) returns them, and returns what one host
    can fetch for all of them. Local files, built-in models and what is to be removed are left out.
  - One name that means two models is an error.
positional: _input
options:
  _input:
    description: A list for each host.
    type: list
    elements: list
    required: true
"""

EXAMPLES = r"""
- name: Show what two hosts need
  ansible.builtin.debug:
    msg: >-
      {{ [[{'name': 'a', 'source': 'owner/a-GGUF'}], [{'name': 'a', 'source': 'owner/a-GGUF'}]]
         | llamaops.llama_cpp.common_models }}
"""

RETURN = r"""
_value:
  description: The models, sorted by name.
  type: list
  elements: dict
"""


def common_models(lists: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    try:
        return modellist.common(lists)
    except LlamaOpsError as exc:
        raise AnsibleFilterError(str(exc)) from exc


class FilterModule:
    """Filters of the collection that read the models of several hosts."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"common_models": common_models}
