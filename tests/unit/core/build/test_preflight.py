# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import preflight, toolchain
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build.toolchain import Toolchain
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import MissingTool
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree

PROGRAMS = {name: f"/usr/bin/{name}" for name in ("git", "ninja", "c", "c++")}


@pytest.fixture
def rows(tmp_path):
    """`rows(cmake="3.25.1", git=True, ...)`: the rows of a host with these programs and this CMake."""

    def make(cmake="3.25.1", git=True, without=(), backend="cpu"):
        programs = {name: path for name, path in PROGRAMS.items() if name not in without}
        if cmake:
            script = tmp_path / "cmake"
            script.write_text(f'#!/bin/sh\necho "cmake version {cmake}"\n')
            script.chmod(0o755)
            programs["cmake"] = str(script)
        tools = Toolchain("/usr/bin", programs, "gnu-12", True)
        return preflight.common(tools, Tree(str(tmp_path / "root"), "user"), git, backend)

    return make


def failed(rows):
    return [row.name for row in rows if not row.ok]


def test_a_good_host_fails_nothing(rows):
    assert failed(rows()) == []
    preflight.require(rows())


def test_an_empty_host_is_told_everything_at_once(rows):
    with pytest.raises(MissingTool) as caught:
        preflight.require(rows(cmake=None, without=PROGRAMS))
    said = str(caught.value)
    for word in ("git", "CMake 3.14", "Ninja", "a C++ compiler", "found: nothing", "PyPI"):
        assert word in said
    assert len(caught.value.details["missing"]) == 5
    assert {row["name"] for row in caught.value.details["preflight"]} == {"git", "cmake", "ninja", "c", "c++"}
    assert all(row["source"] for row in caught.value.details["preflight"])


def test_git_is_needed_only_for_git(rows):
    assert failed(rows(git=False, without=["git"])) == []
    assert failed(rows(without=["git"])) == ["git"]


@pytest.mark.parametrize(
    ("said", "backend", "good"),
    [
        ("3.14.0", "cpu", True),
        ("4.0.1", "cpu", True),
        ("3.13.4", "cpu", False),
        ("x", "cpu", False),
        ("3.17.0", "cuda", False),
        ("3.18.0", "cuda", True),
        ("3.18.0", "vulkan", False),
        ("3.20.0", "hip", False),
    ],
)
def test_cmake_must_be_new_enough(rows, said, backend, good):
    assert failed(rows(cmake=said, backend=backend)) == ([] if good else ["cmake"])


def test_memory_must_have_room_for_the_largest_compiler(rows, monkeypatch):
    monkeypatch.setattr(preflight, "available_memory", lambda: 3 << 29)
    assert failed(rows()) == [] and failed(rows(cmake="3.25.1", backend="vulkan")) == ["memory"]
    with pytest.raises(
        MissingTool, match=r"2.0 GiB of available memory \(found: 1.5 GiB are available\).*Stop something"
    ):
        preflight.require(rows(backend="vulkan"))
    monkeypatch.setattr(preflight, "available_memory", lambda: None)
    assert failed(rows(backend="vulkan")) == []


def test_a_full_disk_is_named_with_numbers(rows, monkeypatch):
    monkeypatch.setitem(toolchain.DISK_NEEDED, "cuda", 1 << 60)
    with pytest.raises(MissingTool, match=r"TiB of free disk space for .*root \(found: .* are free\).*Make room"):
        preflight.require(rows(backend="cuda"))


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("debian", "Install with: apt-get install ninja-build g++. Without root"),
        ("redhat", "Install with: dnf install ninja-build gcc-c++. Without root"),
        ("arch", "Install with: pacman -S ninja gcc. Without root"),
        ("suse", "Install with: zypper install ninja gcc-c++. Without root"),
        (None, "Install with: apt-get install ninja-build g++ (or: dnf install ninja-build gcc-c++ (or: pacman"),
    ],
)
def test_packages_are_those_of_the_family(family, said):
    needs = [preflight.TABLE[name].packages for name in ("ninja", "c++")]
    assert preflight.install(needs, family).startswith(said)


def test_every_line_of_the_table_names_its_source():
    assert all(need.source and need.what for need in preflight.TABLE.values())
