# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of builds: a repository, a root of the test's own, and the module on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_runs import COLLECTIONS, REPOSITORY
from fixtures.upstream import Upstream

MODULE = REPOSITORY / "plugins" / "modules" / "llama_build.py"
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def build(root: Path, tmp_path: Path) -> Run:
    """`build(source=..., ...)`: the module, by itself, on a root of the test's own; several may run at once."""

    def call(check: bool = False, **args: Any) -> dict[str, Any]:
        given = {"root": str(root), "scope": "user", "backend": "cpu", "_ansible_check_mode": check, **args}
        file = tmp_path / f"arguments-{threading.get_ident()}.json"
        file.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": given}))
        done = subprocess.run(
            [sys.executable, MODULE, file],
            env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
            capture_output=True,
            text=True,
            check=False,
        )
        return {"failed": False, **json.loads(done.stdout or '{"failed": true}')}

    return call
