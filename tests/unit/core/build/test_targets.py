# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts can share a build."""

from __future__ import annotations

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import targets, toolchain
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree


def test_the_gpus_of_the_backend_count():
    devices = [
        {"backend": "cuda", "compute_capability": "9.0"},
        {"backend": "cuda", "compute_capability": "8.6"},
        {"backend": "cuda", "compute_capability": "8.6"},
        {"backend": "hip", "compute_capability": "gfx1100"},
        {"backend": "vulkan", "compute_capability": None},
    ]
    assert targets.architectures(devices, "cuda") == ["86", "90"]
    assert targets.architectures(devices, "hip") == ["gfx1100"]
    assert targets.architectures(devices, "vulkan") == []
    assert targets.architectures(devices, "cpu") == []


def test_this_host(tmp_path):
    found = targets.describe(Tree(str(tmp_path), "user"), "cpu", "portable")
    assert found["key"] == f"{found['target']} cpu portable"
    native = targets.describe(Tree(str(tmp_path), "user"), "cpu", "native")
    assert native["target"] == found["target"] and native["cpu"] not in ("native", "portable")


def test_a_builder_serves_whatever_its_hosts_run_on(tmp_path):
    found = targets.describe(Tree(str(tmp_path), "user"), "cpu", "portable", builder="buildbox")
    assert found["key"] == "buildbox cpu portable"


def test_missing_tools_are_named_without_running_any(tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("git", "cmake3", "c++"):
        (tools / name).write_text("#!/bin/false")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    tree = Tree(str(tmp_path / "root"), "user")
    assert toolchain.missing(tree, str(tmp_path)) == ["ninja", "c", "ccache", "openssl"]
