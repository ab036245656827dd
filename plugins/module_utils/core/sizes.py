# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as people write them."""

from __future__ import annotations

import re

from .errors import InvalidInput

POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:iB|B)?", re.IGNORECASE)


def to_bytes(where: str, value: object) -> int:
    """Bytes of `8589934592`, `"8G"`, `"8GB"` or `"8GiB"`; all units are powers of 1024, as in systemd.

    :raises InvalidInput: it is none of these.
    """
    found = SIZE.fullmatch(str(value).strip())
    if isinstance(value, bool) or not found:
        raise InvalidInput(f"{where} must be a size such as 8GiB, not {value!r}.")
    return int(float(found.group(1)) * 1024 ** POWERS[found.group(2).upper()])


def human(size: int) -> str:
    """A size for people: `7.5 GiB`."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
