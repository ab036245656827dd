# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that units call on a host: files of this collection that need nothing but Python."""

from __future__ import annotations

import inspect
import os

from ..files import read_text, write_text
from ..tree import Tree
from . import gpuready, probe, rpclink, watchdog

MODE = 0o755
PROGRAMS = {"llama-probe": probe, "llama-watchdog": watchdog, "llama-gpu-ready": gpuready, "llama-rpc-link": rpclink}


def stale(tree: Tree) -> dict[str, tuple[str, str]]:
    """Path -> (text that is there, text that shall be) of each program that is missing or another."""
    wanted = {
        os.path.join(tree.libexec, name): "#!/usr/bin/env python3\n" + inspect.getsource(module)
        for name, module in PROGRAMS.items()
    }
    return {path: (read_text(path) or "", text) for path, text in wanted.items() if not _right(path, text)}


def install(tree: Tree) -> None:
    """Write the programs that are missing or others than those of this collection."""
    for path, (_before, text) in stale(tree).items():
        write_text(path, text, MODE)


def _right(path: str, text: str) -> bool:
    return read_text(path) == text and os.stat(path).st_mode & 0o7777 == MODE
