# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a host as a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host import picture

DOCUMENTATION = r"""
name: gpu_table
short_description: Show the GPUs of a host as a table for a terminal
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Takes C(ansible_facts['llama_gpu']) as M(llamaops.llama_cpp.gpu_facts) sets it, and returns lines with the host, a row
    for every GPU and MIG device, the processes on them, their connections, and what is missing or odd.
options:
  _input:
    description: The facts.
    type: dict
    required: true
seealso:
  - module: llamaops.llama_cpp.gpu_facts
"""

EXAMPLES = r"""
- name: Show the GPUs of this host
  ansible.builtin.debug:
    msg: "{{ ansible_facts['llama_gpu'] | llamaops.llama_cpp.gpu_table }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""


def gpu_table(facts: dict[str, Any]) -> list[str]:
    return picture.lines(facts)


class FilterModule:
    """Filters of the collection that show facts."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"gpu_table": gpu_table}
