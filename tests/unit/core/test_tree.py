# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders of a runtime root."""

from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import tree as trees
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput


@pytest.fixture
def tree(tmp_path):
    return trees.open_tree(str(tmp_path / "root"), "user")


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_the_folders_are_made_once_and_put_right_again(tree):
    foreseen = trees.ensure(tree, check=True)
    assert not os.path.exists(tree.root)
    assert trees.ensure(tree) == foreseen
    assert trees.ensure(tree) == []
    assert mode(tree.keys) == 0o700
    os.chmod(tree.keys, 0o755)
    assert trees.ensure(tree, check=True) == [tree.keys]
    assert trees.ensure(tree) == [tree.keys]
    assert mode(tree.keys) == 0o700


def test_models_may_lie_elsewhere(tree, tmp_path):
    trees.ensure(tree)
    os.rmdir(tree.sets)
    os.rmdir(tree.models)
    (tmp_path / "disk").mkdir()
    os.symlink(tmp_path / "disk", tree.models)
    assert tree.sets in trees.ensure(tree)
    assert trees.ensure(tree) == []


def test_a_link_where_others_write_is_not_followed(tree, tmp_path):
    trees.ensure(tree)
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    os.rmdir(tree.jobs)
    os.symlink(victim, tree.jobs)
    with pytest.raises(InvalidInput, match="should be a folder"):
        trees.ensure(tree)
    assert mode(victim) == 0o700


def test_a_file_in_the_way_is_named(tree):
    os.makedirs(tree.root)
    with open(tree.builds, "w", encoding="utf-8"):
        pass
    with pytest.raises(InvalidInput, match="builds should be a folder"):
        trees.ensure(tree)


@pytest.mark.parametrize("root", ["relative", "/", "/opt/a b", "/opt/x\ny", "/opt/a;b", "/opt/%h", ""])
def test_roots_that_cannot_be(root):
    with pytest.raises(InvalidInput, match="cannot be a runtime root"):
        trees.open_tree(root, "user")


def test_the_scope_follows_the_place(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    if os.geteuid() == 0:
        assert trees.open_tree("/opt/llama").scope == "system"
    assert trees.open_tree("~/llama-runtime").scope == "user"
