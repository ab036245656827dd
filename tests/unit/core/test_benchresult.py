# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import benchresult
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.benchresult import read_rows
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import Untrusted
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.modelset import ModelFile
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree
from hypothesis import given
from hypothesis import strategies as st

RECORDED = (Path(__file__).parents[2] / "fixtures" / "llama-bench.json").read_text()


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(str(tmp_path), "user")


def test_recorded_output():
    rows = read_rows(RECORDED)
    assert [row["test"] for row in rows] == ["pp32", "tg16", "pp32 @ d32", "tg16 @ d32"]
    for row, raw in zip(rows, json.loads(RECORDED)):
        assert row["avg_ts"] == pytest.approx(raw["avg_ts"], rel=1e-6)
        assert row["stddev_ts"] == pytest.approx(raw["stddev_ts"], rel=1e-6)
        assert row["samples_ns"] == raw["samples_ns"]
        assert (row["backends"], row["devices"], row["n_threads"]) == ("CPU", "none", raw["n_threads"])


def test_averages_that_are_no_numbers_are_reckoned_anew():
    # of equal samples llama-bench may take the root of a small negative number
    broken = RECORDED
    for name, value in {"stddev_ts": "-nan", "avg_ts": "inf", "samples_ts": "[ inf, nan ]"}.items():
        raw = json.loads(RECORDED)[0][name]
        text = f"[ {', '.join(f'{number:g}' for number in raw)} ]" if isinstance(raw, list) else f"{raw:.6f}"
        assert f'"{name}": {text}' in broken
        broken = broken.replace(f'"{name}": {text}', f'"{name}": {value}', 1)
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(broken)
    assert read_rows(broken) == read_rows(RECORDED)


def row(**changes):
    return {"n_prompt": 8, "n_gen": 0, "samples_ns": [1000, 3000], **changes}


def test_the_least_row():
    assert read_rows(json.dumps([row()])) == [
        {
            "n_prompt": 8,
            "n_gen": 0,
            "n_depth": 0,
            "test": "pp8",
            "samples_ns": [1000, 3000],
            "samples_ts": [8e6, 8e9 / 3000],
            "avg_ns": 2000.0,
            "avg_ts": pytest.approx((8e6 + 8e9 / 3000) / 2),
            "stddev_ts": pytest.approx(3771236.166),
        }
    ]


def test_one_sample_has_no_deviation():
    assert read_rows(json.dumps([row(samples_ns=[5])]))[0]["stddev_ts"] == 0.0


HOSTILE = {
    "nothing": "",
    "no JSON": "main: error: failed to load model\n",
    "cut off": RECORDED[:-40],
    "no list": "{}",
    "no rows": "[\n\n]\n",
    "row is no object": "[1]",
    "no samples": json.dumps([row(samples_ns=[])]),
    "samples missing": json.dumps([{"n_prompt": 1, "n_gen": 0}]),
    "sample zero": json.dumps([row(samples_ns=[0])]),
    "sample negative": json.dumps([row(samples_ns=[-5])]),
    "sample true": json.dumps([row(samples_ns=[True])]),
    "sample too large": json.dumps([row(samples_ns=[1 << 63])]),
    "sample is text": json.dumps([row(samples_ns=["5"])]),
    "tokens are text": json.dumps([row(n_prompt="8")]),
    "tokens negative": json.dumps([row(n_gen=-1)]),
    "no tokens": json.dumps([row(n_prompt=0)]),
    "depth is a list": json.dumps([row(n_depth=[0])]),
    "nested too deep": "[" * 100000,
}


@pytest.mark.parametrize("output", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_output_is_refused(output):
    with pytest.raises(Untrusted):
        read_rows(output)


def test_strange_fields_are_left_out():
    strange = {
        "Bad Name": 1,
        "nested": {"a": 1},
        "a_list": [1],
        "nothing": None,
        "huge": 1e308 * 10,
        "long": "x" * 5000,
    }
    text = json.dumps([row(**strange, good="x", flag=True)]).replace("Infinity", "1e999")
    found = read_rows(text)[0]
    assert not set(strange) & set(found)
    assert (found["good"], found["flag"]) == ("x", True)


@given(st.lists(st.integers(1, (1 << 63) - 1), min_size=1, max_size=20), st.integers(1, (1 << 31) - 1))
def test_any_samples_give_finite_figures(samples, tokens):
    found = read_rows(json.dumps([row(n_prompt=tokens, samples_ns=samples)]))[0]
    assert min(found["samples_ts"]) <= found["avg_ts"] * (1 + 1e-9)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@given(st.text(max_size=200))
def test_any_text_is_rows_or_refused(text):
    try:
        read_rows(text)
    except Untrusted:
        pass


def record(key: str = "a", at: str = "2026-01-01T00:00:00Z", **more):
    return {"key": key, "time": at, "rows": [], **more}


def test_the_newest_result_of_a_key(tree):
    assert benchresult.latest(tree, "a", None) is None
    for number, key in enumerate("aba"):
        benchresult.append(tree, record(key, number=number))
    assert benchresult.latest(tree, "a", None)["number"] == 2
    assert benchresult.latest(tree, "b", None)["number"] == 1
    assert benchresult.latest(tree, "c", None) is None


def test_age(tree):
    benchresult.append(tree, record("old"))
    benchresult.append(tree, record("new", benchresult.now()))
    benchresult.append(tree, record("strange", "yesterday"))
    assert benchresult.latest(tree, "old", 3600) is None
    assert benchresult.latest(tree, "old", None)
    assert benchresult.latest(tree, "new", 3600)
    assert benchresult.latest(tree, "strange", 3600) is None


def test_a_write_that_was_cut_off_loses_nothing_else(tree):
    benchresult.append(tree, record("a"))
    with open(benchresult.path(tree), "ab") as file:
        file.write(b'{"schema": 1, "key": "b", "ro')
    benchresult.append(tree, record("c"))
    assert [found["key"] for found in benchresult.history(tree)] == ["a", "c"]


@pytest.mark.parametrize(
    "line", ["", "1", "[]", "nonsense", '{"schema": 2, "key": "a", "rows": []}', '{"schema": 1, "key": 1, "rows": []}']
)
def test_lines_that_are_no_results_are_passed_over(tree, line):
    benchresult.append(tree, record("a"))
    with open(benchresult.path(tree), "a") as file:
        file.write(line + "\n")
    assert len(list(benchresult.history(tree))) == 1


def test_digests_of_measured_files(tree):
    file = {"path": "/m.gguf", "size": 5, "sha256": "ab", "mtime_ns": 7, "inode": 9}
    benchresult.append(tree, record(model={"files": [file]}))
    for strange in (None, {}, {"files": 1}, {"files": [{"path": "/x"}]}, {"files": ["x"]}):
        benchresult.append(tree, record(model=strange))
    assert benchresult.digests(tree) == {ModelFile("/m.gguf", 5, "", 7, 9): "ab"}
