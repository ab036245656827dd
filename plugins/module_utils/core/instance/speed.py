# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast an instance answered when it was last asked: by its watchdog, else by the proof of its start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..files import read_json
from ..tree import Tree
from . import watchdog


def last(tree: Tree, name: str, pid: int, start: Mapping[str, Any]) -> float | None:
    """Tokens a second of the process `pid`; None where nobody measured it.

    :param start: what instance.json says of the last start.
    """
    for said in (read_json(_path(tree, name)), start):
        if isinstance(said, Mapping) and said.get("pid") == pid and isinstance(said.get("speed"), (int, float)):
            return float(said["speed"])
    return None


def _path(tree: Tree, name: str) -> str:
    run = "/run" if tree.system else os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return os.path.join(run, "llama-watchdog", watchdog.state_file(name))
