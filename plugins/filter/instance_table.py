# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_SPANS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def table(instances: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [COLUMNS, *[_row(name, instances[name]) for name in sorted(instances)]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def _row(name: str, item: Mapping[str, Any]) -> tuple[str, ...]:
    taken, planned = (_size((item.get("memory") or {}).get(key)) for key in ("actual", "planned"))
    return (
        name,
        item["state"],
        item["residency"],
        item["share"] or "-",
        f"{taken} of {planned}",
        _span(item["uptime"]),
        "on" if item["enabled"] else "off",
        item["kind"],
        item["endpoint"] or "-",
        item["model"] or "-",
        item["build_id"],
    )


def _size(size: int | None) -> str:
    if size is None:
        return "-"
    amount, unit = float(size), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}"


def _span(seconds: int | None) -> str:
    """The largest unit of a time that is not zero: `3d`, `7m`."""
    if seconds is None:
        return "-"
    return next((f"{seconds // size}{unit}" for unit, size in _SPANS if seconds >= size), "0s")


class FilterModule:
    """Filters of the collection that print."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"instance_table": table}
