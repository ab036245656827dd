# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that a host makes for itself."""

from __future__ import annotations

import os

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import keys
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree


@pytest.fixture
def tree(tmp_path):
    os.mkdir(tmp_path / "keys")
    return Tree(str(tmp_path), "user")


def test_a_key_is_made_once_for_its_owner_alone(tree):
    keys.make(tree, ["own"])
    made = keys.values(tree, {"team": "given-key"}, ["own"])
    assert made["team"] == "given-key" and len(made["own"]) >= 43
    file = keys.path(tree, "own")
    assert os.stat(file).st_mode & 0o777 == 0o600 and os.stat(os.path.dirname(file)).st_mode & 0o777 == 0o700
    keys.make(tree, ["own"])
    assert keys.values(tree, {}, ["own"])["own"] == made["own"]
    os.unlink(file)
    keys.make(tree, ["own"])
    assert keys.values(tree, {}, ["own"])["own"] != made["own"]


def test_a_preview_makes_nothing(tree):
    assert keys.values(tree, {}, ["own"])["own"] != keys.values(tree, {}, ["own"])["own"]
    assert os.listdir(tree.keys) == []


@pytest.mark.parametrize(("given", "made"), [({"own": "given-key"}, ["own"]), ({}, ["../own"])])
def test_what_cannot_be_is_refused(tree, given, made):
    with pytest.raises(InvalidInput):
        keys.values(tree, given, made)
