# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import checkout, source_archive
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build.source import Source
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build.toolchain import Toolchain
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree

NO_TOOLS = Toolchain("/usr/bin:/bin", {}, None, False)
NEW = "set(LLAMA_VERSION_MAJOR 0)\nset ( LLAMA_VERSION_MINOR  5 )\nset(LLAMA_VERSION_PATCH 12)\n"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "work").mkdir()
    return Tree(str(tmp_path), "user")


@pytest.mark.parametrize(
    ("text", "number", "version"),
    [
        (NEW, 9931, "0.5.12"),
        (NEW.replace("PATCH", "OTHER"), 9931, "b9931"),
        ("project(llama.cpp)", 4000, "b4000"),
        ("project(llama.cpp)", 0, "0.0.0"),
        (None, 0, "0.0.0"),
    ],
)
def test_version(tree, text, number, version):
    folder = Path(checkout.folder(tree))
    folder.mkdir()
    if text is not None:
        (folder / "CMakeLists.txt").write_text(text)
    assert checkout.version(tree, number) == version


def archive(path: Path, text: str) -> Source:
    data = f'project("llama.cpp") # {text}'.encode()
    with tarfile.open(path, "w:gz") as file:
        info = tarfile.TarInfo("x/CMakeLists.txt")
        info.size = len(data)
        file.addfile(info, io.BytesIO(data))
    return Source("archive", path=str(path), checksum=hashlib.sha256(path.read_bytes()).hexdigest())


def prepare(tree: Tree, wanted: Source) -> str:
    exact = source_archive.resolve(wanted)
    assert checkout.prepare(tree, wanted, exact, NO_TOOLS, lambda text: None) == 0
    return (Path(checkout.folder(tree)) / "CMakeLists.txt").read_text()


def test_a_complete_tree_is_left_alone_and_another_one_replaces_it(tree, tmp_path):
    one = archive(tmp_path / "one.tar.gz", "one")
    assert prepare(tree, one).endswith("one")
    touched = Path(checkout.folder(tree)) / "CMakeLists.txt"
    touched.write_text("compiled for an hour")
    assert prepare(tree, one) == "compiled for an hour"
    assert prepare(tree, archive(tmp_path / "two.tar.gz", "two")).endswith("two")
    assert prepare(tree, one).endswith("one")


def test_a_half_made_tree_is_made_again(tree, tmp_path):
    one = archive(tmp_path / "one.tar.gz", "one")
    prepare(tree, one)
    (Path(tree.work) / "tree.json").unlink()  # what a run killed in the middle leaves
    (Path(checkout.folder(tree)) / "CMakeLists.txt").unlink()
    assert prepare(tree, one).endswith("one")
