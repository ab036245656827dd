# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which llama.cpp first had a flag, as far as it is known: the hint for builds that lack it."""

from __future__ import annotations

# flag -> the first release that is known to have it; earlier ones may. Sources: llama.cpp pull request 15077 with
# release b6089, issue 18035 (used with b7389), pull request 23269 (used with b9219)
FIRST: dict[str, str] = {
    "--cpu-moe": "b6089",
    "--n-cpu-moe": "b6089",
    "--models-preset": "b7389",
    "--spec-type": "b9219",
}


def hint(flag: str) -> str:
    """What to do about a flag that a build lacks."""
    first = FIRST.get(flag)
    return f"Build llama.cpp {first} or newer with llama_build." if first else "Build a newer llama.cpp."
