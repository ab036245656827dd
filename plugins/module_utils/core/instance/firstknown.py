# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which llama.cpp first had a flag, as far as it is known: the hint for builds that lack it."""

from __future__ import annotations

# flag -> the first release known to have it
FIRST: dict[str, str] = {}


def hint(flag: str) -> str:
    """What to do about a flag that a build lacks."""
    first = FIRST.get(flag)
    return f"Build llama.cpp {first} or newer with llama_build." if first else "Build a newer llama.cpp."
