# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.fleet import show

DOCUMENTATION = r"""
name: instance_table
short_description: Show instances as the lines of a table
version_added: 0.1.0
author: LlamaOps contributors (@llamaops)
description:
  - Takes what M(llamaops.llama_cpp.llama_instance_info) returns as RV(llamaops.llama_cpp.llama_instance_info#module:instances)
    and returns one line an instance, below a line of headings; memory is what is taken of what is planned.
options:
  _input:
    description: The instances by name.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the instances of this host
  ansible.builtin.debug:
    msg: "{{ found.instances | llamaops.llama_cpp.instance_table }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

COLUMNS = ("name", "state", "residency", "share", "memory", "uptime", "boot", "kind", "endpoint", "model", "build")


def table(instances: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [COLUMNS, *[_row(name, instances[name]) for name in sorted(instances)]]
    return show.aligned(rows)


def _row(name: str, item: Mapping[str, Any]) -> tuple[str, ...]:
    taken, planned = (show.size((item.get("memory") or {}).get(key)) for key in ("actual", "planned"))
    return (
        name,
        item["state"],
        item["residency"],
        item["share"] or "-",
        f"{taken} of {planned}",
        show.span(item["uptime"]),
        "on" if item["enabled"] else "off",
        item["kind"],
        item["endpoint"] or "-",
        item["model"] or "-",
        item["build_id"],
    )


class FilterModule:
    """Filters of the collection that print."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"instance_table": table}
