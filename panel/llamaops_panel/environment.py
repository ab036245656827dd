# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment in which Ansible runs: our programs, our collection, the files that the settings name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ansible_collections.llamaops.llama_cpp.plugins.module_utils import core

from .settings import Settings


def prepare(settings: Settings) -> None:
    """For this process and all that it starts."""
    programs, collections = Path(sys.executable).parent, Path(core.__path__[0]).parents[4]
    os.environ["PATH"] = _first(programs, os.environ.get("PATH", os.defpath))
    os.environ["ANSIBLE_COLLECTIONS_PATH"] = _first(collections, os.environ.get("ANSIBLE_COLLECTIONS_PATH", ""))
    os.environ.setdefault("ANSIBLE_HOME", str(settings.state / "ansible"))
    os.environ.update(files(settings))


def files(settings: Settings) -> dict[str, str]:
    """The files of the settings as Ansible is told them."""
    named = {
        "ANSIBLE_PRIVATE_KEY_FILE": settings.private_key,
        "ANSIBLE_VAULT_PASSWORD_FILE": settings.vault_password_file,
    }
    return {name: str(path) for name, path in named.items() if path is not None}


def _first(folder: Path, path: str) -> str:
    rest = [part for part in path.split(os.pathsep) if part and part != str(folder)]
    return os.pathsep.join([str(folder), *rest])
