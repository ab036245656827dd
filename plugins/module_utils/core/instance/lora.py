# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adapters that are loaded with the model of an instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..names import check_keys
from . import values


@dataclass(frozen=True)
class Lora:
    """An adapter: a model set or the absolute path of a GGUF file, and how strongly it counts."""

    file: str
    scale: float = 1.0


def read(where: str, value: Any) -> Lora:
    """A path or set alone, or `{file, scale}`."""
    given = values.table(where, "lora", value if isinstance(value, Mapping) else {"file": value})
    check_keys(f"{where}: lora", given, ("file", "scale"))
    scale = values.fraction(where, "lora.scale", given.get("scale", 1.0), -100, 100)
    return Lora(values.text(where, "lora.file", given.get("file")), scale)
