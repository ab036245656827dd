# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A root of its own that is kept between runs, and what a run needs of its environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration" / "llama_build"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))


@pytest.fixture(scope="session")
def cuda_home() -> str:
    home = os.environ.get("LLAMAOPS_TEST_CUDA_HOME")
    if not home:
        pytest.fail("LLAMAOPS_TEST_CUDA_HOME must name a CUDA toolkit: see tests/gpu/README.md.")
    return home


@pytest.fixture(scope="session")
def architecture() -> str:
    return os.environ.get("LLAMAOPS_TEST_CUDA_ARCH", "90")


@pytest.fixture(scope="session")
def kept_root() -> Path:
    """Its compiler cache makes a second run short."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(os.environ.get("LLAMAOPS_TEST_GPU_ROOT") or os.path.join(cache, "llamaops-test", "gpu-root"))
