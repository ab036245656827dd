# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans as pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import picture

DOCUMENTATION = r"""
name: plan_table
short_description: Show a plan as bars for a terminal
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Takes the result of M(llamaops.llama_cpp.llama_plan) and returns lines with a bar for every device and its parts.
options:
  _input:
    description: The result.
    type: dict
    required: true
seealso:
  - plugin: llamaops.llama_cpp.plan_svg
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the plan
  ansible.builtin.debug:
    msg: "{{ planned | llamaops.llama_cpp.plan_table }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""


class FilterModule:
    """Filters of the collection that draw a plan."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"plan_table": picture.text}
