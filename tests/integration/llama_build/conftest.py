# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of builds: a repository, a root of the test's own, and the module on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from building_runs import run_build
from fixtures.upstream import Upstream

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
        return run_build(tmp_path, check, **{"root": str(root), **args})

    return call
