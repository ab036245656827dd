# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import runtime
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import open_tree


@pytest.fixture
def tree(tmp_path):
    return open_tree(str(tmp_path / "root"), "user")


def paths(changes):
    return [change.path for change in changes]


def test_a_preview_lists_everything_and_makes_nothing(tree):
    seen = runtime.prepare(tree, ["psutil"], check=True)
    assert paths(seen)[0] == tree.root and {tree.probe, tree.venv} <= set(paths(seen)[-7:])
    assert not os.path.exists(tree.root)


def test_what_was_previewed_is_what_is_done_and_then_nothing_is_left_to_do(tree):
    seen = paths(runtime.prepare(tree, None, check=True))
    assert paths(runtime.prepare(tree, None, check=False)) == seen
    assert runtime.prepare(tree, None, check=False) == []


def test_the_installed_probe_runs_alone(tree, tmp_path):
    runtime.prepare(tree, None, check=False)
    env = {"PATH": os.path.dirname(sys.executable)}
    done = subprocess.run([tree.probe, "http://127.0.0.1:1"], cwd=tmp_path, env=env, capture_output=True, check=False)
    assert (done.returncode, b'"ok": false' in done.stdout, done.stderr) == (1, True, b"")


@pytest.mark.parametrize("damage", [lambda path: os.chmod(path, 0o644), lambda path: os.truncate(path, 9)])
def test_a_changed_probe_is_restored(tree, damage):
    runtime.prepare(tree, None, check=False)
    with open(tree.probe) as file:
        right = file.read()
    damage(tree.probe)
    assert paths(runtime.prepare(tree, None, check=False)) == [tree.probe]
    with open(tree.probe) as file:
        assert file.read() == right
    assert os.stat(tree.probe).st_mode & 0o777 == 0o755
