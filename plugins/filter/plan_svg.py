# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans as drawings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import picture

DOCUMENTATION = r"""
name: plan_svg
short_description: Draw a plan as SVG
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Takes the result of M(llamaops.llama_cpp.llama_plan) and returns a drawing with a bar for every device.
options:
  _input:
    description: The result.
    type: dict
    required: true
seealso:
  - plugin: llamaops.llama_cpp.plan_table
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Keep the drawing
  ansible.builtin.copy:
    content: "{{ planned | llamaops.llama_cpp.plan_svg }}"
    dest: plan.svg
    mode: "0644"
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The drawing.
  type: str
"""


class FilterModule:
    """Filters of the collection that draw a plan."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"plan_svg": picture.svg}
