# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of known issues: each entry is seen applied and expired; patches go in and out by a real git."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import knownissues, patching
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build.toolchain import Toolchain
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import CommandFailed, MissingTool
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.files import write_json
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree

ARGSORT = "ggml/src/ggml-cuda/argsort.cu"
STRIDED = "    auto offset_iterator = cuda::make_strided_iterator(cuda::make_counting_iterator(0), ncols);\n"
BROKEN = (
    f"#ifdef GGML_CUDA_USE_CUB\n#    include <cub/cub.cuh>\nusing namespace cub;\n#endif\n\nvoid f() {{\n{STRIDED}}}\n"
)
MENDED = f"#define STRIDED_ITERATOR_AVAILABLE\n#ifdef STRIDED_ITERATOR_AVAILABLE\n{STRIDED}#endif\n"
TOOLS = Toolchain("/usr/bin:/bin", {"git": shutil.which("git") or ""}, "gnu-12", True)
CCCL, MATH41, MATH42 = (issue.id for issue in knownissues.TABLE)


def judged(number=0, cuda="12.4", glibc="2.36", source=BROKEN):
    verdicts = knownissues.judge(number, cuda, glibc, lambda name: source)
    return {verdict.issue.id: verdict.why if not verdict.applies else "applied" for verdict in verdicts}


@pytest.mark.parametrize(
    ("facts", "issue", "state"),
    [
        ({"number": 7783}, CCCL, "applied"),
        ({"number": 7783, "cuda": "13.0"}, CCCL, "applied"),
        ({"number": 0}, CCCL, "applied"),
        ({"number": 7783, "cuda": "13.1"}, CCCL, "expired"),
        ({"number": 7782}, CCCL, "not affected"),
        ({"number": 9000, "source": MENDED}, CCCL, "expired"),
        ({"number": 9000, "source": None}, CCCL, "not affected"),
        ({"glibc": "2.41"}, MATH41, "applied"),
        ({"glibc": "2.42", "cuda": "12.9"}, MATH41, "applied"),
        ({"glibc": "2.40"}, MATH41, "not affected"),
        ({"glibc": "2.42", "cuda": "13.0"}, MATH41, "expired"),
        ({"glibc": "2.42", "cuda": "13.1"}, MATH42, "applied"),
        ({"glibc": "2.42", "cuda": "13.2"}, MATH42, "expired"),
        ({"glibc": "2.41", "cuda": "13.1"}, MATH42, "not affected"),
        ({"glibc": None, "cuda": "13.1"}, MATH42, "not affected"),
    ],
)
def test_an_issue_applies_inside_of_its_ranges_only(facts, issue, state):
    assert judged(**facts)[issue].startswith(state)


def test_builds_without_cuda_have_none_of_them():
    assert judged(cuda=None, glibc="2.42") == {}


def test_every_entry_says_why_where_and_until_when():
    for issue in knownissues.TABLE:
        assert issue.reason and issue.expiry and issue.link.startswith("https://github.com/ggml-org/")
        assert bool(issue.patch) != bool(issue.flags)
    assert len({issue.label() for issue in knownissues.TABLE}) == len(knownissues.TABLE)


@pytest.fixture
def tree(tmp_path):
    source = tmp_path / "work" / "tree" / ARGSORT
    source.parent.mkdir(parents=True)
    source.write_text(BROKEN)
    write_json(str(tmp_path / "work" / "tree.json"), {"commit": "c", "number": 7783})
    return Tree(str(tmp_path), "user")


def apply(tree, cuda="13.0", tools=TOOLS, table=knownissues.TABLE):
    return patching.apply(tree, tools, 7783, cuda, "/opt/cuda/include", table)


def text(tree):
    return Path(tree.work, "tree", ARGSORT).read_text()


def test_a_patch_is_applied_once_reported_and_taken_out_where_it_has_expired(tree):
    for _number in range(2):
        found = apply(tree)
        assert [label.partition("@")[0] for label in found.labels] == [CCCL]
        assert "make_transform_iterator" in text(tree) and "make_strided_iterator" not in text(tree)
    said = {entry["id"]: entry for entry in found.report}
    assert (said[CCCL]["state"], said[MATH41]["state"]) == ("applied", "expired")
    assert apply(tree, "13.1").labels == ()
    assert text(tree) == BROKEN
    assert apply(tree, None).report == ()


def test_a_run_that_was_killed_before_it_applied_what_it_noted(tree):
    write_json(str(Path(tree.work, "tree.json")), {"commit": "c", "number": 7783, "patches": [CCCL]})
    assert apply(tree).labels
    assert "make_transform_iterator" in text(tree)


def test_a_flag_names_the_headers_of_the_toolkit(tree):
    table = [replace(issue, libc=(2, 1)) for issue in knownissues.TABLE]  # any glibc
    assert apply(tree, "13.0", table=table).flags == {"CMAKE_CUDA_FLAGS": ["-isystem=/opt/cuda/include"]}
    assert apply(tree, "13.2", table=table).flags == {}


def test_a_patch_that_does_not_fit_is_an_error_with_a_link(tree):
    Path(tree.work, "tree", ARGSORT).write_text(BROKEN.replace("ncols", "columns"))
    with pytest.raises(CommandFailed, match="(?s)does not fit.*issues/18971"):
        apply(tree)


def test_a_patch_needs_git(tree):
    with pytest.raises(MissingTool, match="git"):
        apply(tree, tools=replace(TOOLS, programs={}))
