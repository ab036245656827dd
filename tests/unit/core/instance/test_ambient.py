# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that reach a server past its unit, seen in a process that really has them."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import NotProven
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import ambient

SHOWN = {"LLAMA_ARG_API_KEY_FILE": "/run/key", "CUDA_VISIBLE_DEVICES": "GPU-a"}


@pytest.fixture
def process():
    env = {"PATH": "/bin:/usr/bin", "LLAMA_ARG_CTX_SIZE": "64", "LLAMA_API_KEY": "a-secret-value", **SHOWN}
    running = subprocess.Popen(["sleep", "60"], env=env)
    while b"LLAMA" not in Path(f"/proc/{running.pid}/environ").read_bytes():
        time.sleep(0.01)
    yield running.pid
    running.kill()
    running.wait()


def test_what_no_unit_shows_is_named_without_its_value(process):
    assert ambient.unseen(process, SHOWN) == ["LLAMA_API_KEY", "LLAMA_ARG_CTX_SIZE"]
    with pytest.raises(NotProven, match="LLAMA_ARG_CTX_SIZE") as caught:
        ambient.check("chat", process, SHOWN)
    assert "a-secret-value" not in str(caught.value) + caught.value.remedy
    assert "unset-environment" in caught.value.remedy


def test_what_the_unit_shows_counts_only_with_its_value(process):
    shown = {**SHOWN, "LLAMA_ARG_CTX_SIZE": "64", "LLAMA_API_KEY": "another"}
    assert ambient.unseen(process, shown) == ["LLAMA_API_KEY"]


def test_a_process_that_is_gone_has_none():
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert ambient.unseen(gone.pid, {}) == []
