# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of a fleet as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = ("host", "instance", "state", "residency", "build", "model", "memory", "tok/s", "endpoint", "age")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_SPANS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines of the table, headings first."""
    return aligned([COLUMNS, *[_row(row) for row in rows]])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Cells in columns of one width."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def reasons(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is not as wanted, one line each: `host/instance: why`."""
    return [f"{where(row)}: {reason}" for row in rows for reason in row["reasons"]]


def remarks(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a person should know though nothing failed."""
    cordoned = {row["host"]: row["cordoned"] for row in rows if row["cordoned"]}
    return [f"{host} is cordoned: {text}" for host, text in sorted(cordoned.items())]


def where(row: Mapping[str, Any]) -> str:
    return f"{row['host']}/{row['instance']}" if row["instance"] else str(row["host"])


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    memory, speed = row["memory"], row["tokens_per_second"]
    return (
        row["host"],
        row["instance"] or "-",
        row["state"] + (" (unlisted)" if row["instance"] and not row["serves"] else ""),
        row["residency"] or "-",
        row["build_id"] or "-",
        row["model"] or "-",
        f"{size(memory['actual'])} of {size(memory['planned'])}" if any(memory.values()) else "-",
        "-" if speed is None else f"{speed:.1f}",
        row["endpoint"] or "-",
        span(row["uptime"]),
    )


def size(count: int | None) -> str:
    """Bytes in the largest unit that leaves a whole number: `1.5 GiB`."""
    if count is None:
        return "-"
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}"


def span(seconds: int | None) -> str:
    """The largest unit of a time that is not zero: `3d`, `7m`."""
    if seconds is None:
        return "-"
    return next((f"{seconds // length}{unit}" for unit, length in _SPANS if seconds >= length), "0s")
