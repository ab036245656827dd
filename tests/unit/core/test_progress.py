# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line that tells how far a job is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import progress
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.progress import Progress
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree

MIB = 1 << 20


@pytest.mark.parametrize(
    ("done", "total", "rate", "text"),
    [
        (MIB, 4 * MIB, MIB, "1.0 MiB of 4.0 MiB (25 %), 1.0 MiB/s, 0:00:03 left"),
        (0, 7200 * MIB, MIB, "0 B of 7.0 GiB (0 %), 1.0 MiB/s, 2:00:00 left"),
        (MIB, 0, MIB, "1.0 MiB, 1.0 MiB/s"),
        (MIB, 4 * MIB, 0, "1.0 MiB of 4.0 MiB (25 %), 0 B/s"),
        (MIB, 4 * MIB, -5, "1.0 MiB of 4.0 MiB (25 %), 0 B/s"),
    ],
)
def test_lines(done, total, rate, text):
    assert progress.line(done, total, rate) == text


def test_a_job_has_one_line_as_long_as_it_runs(tmp_path):
    tree = Tree(str(tmp_path), "user")
    os.makedirs(tree.jobs)
    found = Progress(tree, "gguf-model-1")
    found.expect("model m", 100)
    assert Path(tree.jobs, "gguf-model-1.progress").read_text() == "model m\n"
    found.say("a\nb")
    assert Path(tree.jobs, "gguf-model-1.progress").read_text() == "a b\n"
    found.end()
    assert os.listdir(tree.jobs) == []


def test_without_a_job_or_a_folder_nothing_is_written(tmp_path):
    for found in (Progress(), Progress(Tree(str(tmp_path / "none"), "user"), "job")):
        found.expect("x", 1)
        found.moved(1)
        found.end()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("job", ["../x", "a/b", "A", "x" * 65])
def test_a_job_is_no_path(tmp_path, job):
    with pytest.raises(InvalidInput):
        Progress(Tree(str(tmp_path), "user"), job)
