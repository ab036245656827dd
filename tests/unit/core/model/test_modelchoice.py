# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a repository are meant: small made-up listings, and those of many kinds of publishers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import modelchoice, modelref
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.modelchoice import Entry

GB = 1 << 30
LISTING = [
    Entry("README.md", 10),
    Entry("imatrix.gguf", GB),
    Entry("mmproj-F16.gguf", GB),
    Entry("mmproj-Model-Q8_0.gguf", GB),
    Entry("mtp-Model-Q8_0.gguf", GB),
    Entry("Model-draft-Q8_0.gguf", GB),
    Entry("ggml-vocab-Model-Q8_0.gguf", GB),
    Entry("Model-Q4_K.gguf", 4 * GB),
    Entry("Model-Q4_K_M.gguf", 5 * GB),
    Entry("Model-UD-Q4_K_XL.gguf", 6 * GB),
    Entry("Model-Q6_K.gguf", 6 * GB),
    Entry("Model-UD-Q6_K.gguf", 6 * GB),
    Entry("Model-Q8_0.gguf", 8 * GB),
    Entry("Model-BF16/Model-BF16-00001-of-00002.gguf", 9 * GB),
    Entry("Model-BF16/Model-BF16-00002-of-00002.gguf", 9 * GB),
    Entry("IQ4_XS/Model-00001-of-00003.gguf", 9 * GB),
    Entry("IQ4_XS/Model-00003-of-00003.gguf", 9 * GB),
    Entry("MXFP4/a.gguf", GB),
    Entry("MXFP4/b.gguf", GB),
    Entry("../Model-F16.gguf", 9 * GB),
]


@pytest.mark.parametrize(
    ("quant", "paths"),
    [
        ("Q4_K", ["Model-Q4_K.gguf"]),
        ("q4_k_m", ["Model-Q4_K_M.gguf"]),
        ("Q4_K_XL", ["Model-UD-Q4_K_XL.gguf"]),
        ("UD-Q4_K_XL", ["Model-UD-Q4_K_XL.gguf"]),
        ("Q6_K", ["Model-Q6_K.gguf"]),
        ("UD-Q6_K", ["Model-UD-Q6_K.gguf"]),
        ("Q8_0", ["Model-Q8_0.gguf"]),
        ("bf16", ["Model-BF16/Model-BF16-00001-of-00002.gguf", "Model-BF16/Model-BF16-00002-of-00002.gguf"]),
    ],
)
def test_a_quantisation_means_whole_words(quant, paths):
    assert [entry.path for entry in modelchoice.choose("o/r", LISTING, quant)] == paths


@pytest.mark.parametrize(
    ("quant", "files", "reason"),
    [
        ("Q4", [], "no model of Q4"),
        ("F16", [], "no model of F16"),
        ("MXFP4", [], "2 models of MXFP4"),
        ("IQ4_XS", [], "only 1, 3"),
        (None, [], "models chosen by the reference alone"),
        (None, ["Model-Q4_K.gguf", "Model-Q8_0.gguf"], "2 models of the files"),
        (None, ["Model-Q4_0.gguf"], "no model file 'Model-Q4_0.gguf'.*Did you mean"),
        (None, ["mmproj-F16.gguf"], "no model file"),
        (None, ["imatrix.gguf"], "no model file"),
        (None, ["ggml-vocab-Model-Q8_0.gguf"], "no model file"),
    ],
)
def test_a_choice_that_is_not_exactly_one_complete_model_is_refused(quant, files, reason):
    with pytest.raises(InvalidInput) as caught:
        modelchoice.choose("o/r", LISTING, quant, files)
    assert re.search(reason, str(caught.value))


def test_candidates_are_listed_with_their_sizes():
    with pytest.raises(InvalidInput, match=re.escape("Model-Q4_K_M.gguf (5.0 GiB)")):
        modelchoice.choose("o/r", LISTING, "Q3_K")
    with pytest.raises(InvalidInput, match="no GGUF model at all"):
        modelchoice.choose("o/r", LISTING[:3], "Q3_K")


def test_any_shard_stands_for_all_and_one_model_needs_no_word():
    shards = LISTING[13:15]
    assert list(modelchoice.choose("o/r", shards, None, [shards[1].path])) == shards
    assert list(modelchoice.choose("o/r", shards, None)) == shards


def test_a_draft_is_a_model_only_when_it_is_named():
    with pytest.raises(InvalidInput, match="no GGUF model at all"):
        modelchoice.choose("o/r", LISTING[5:6], "Q8_0")
    assert list(modelchoice.choose("o/r", LISTING, None, ["Model-draft-Q8_0.gguf"])) == LISTING[5:6]


LISTINGS = yaml.safe_load((Path(__file__).parents[3] / "fixtures" / "listings.yml").read_text(encoding="utf-8"))
CASES = [
    pytest.param(repo["files"], case, id=f"{repo['repo']}:{case.get('quant', case.get('file', ''))}")
    for repo in LISTINGS
    for case in repo["cases"]
]


def wanted(case: dict[str, str]) -> modelref.Request:
    reference = "o/r:" + case["quant"] if "quant" in case else "o/r"
    files = [case["file"]] if "file" in case else None
    entry = {"name": "m", "source": reference, "files": files}
    return modelref.request({**entry, "mmproj": case.get("mmproj"), "draft": case.get("draft")})


@pytest.mark.parametrize(("files", "case"), CASES)
def test_listings_of_publishers(files, case):
    """`files`: sizes in MiB by path. A case expects files by role, or the words of an error."""
    listing = [Entry(path, size << 20) for path, size in files.items()]
    if "error" in case:
        with pytest.raises(InvalidInput) as caught:
            modelchoice.parts("o/r", listing, wanted(case))
        assert re.search(case["error"], str(caught.value))
        return
    found = modelchoice.parts("o/r", listing, wanted(case))
    paths = {role: [entry.path for each, entry in found if each == role] for role in ("model", "mmproj", "draft")}
    expected = {role: case.get("expect", {}).get(role, []) for role in paths}
    assert paths == {role: [path] if isinstance(path, str) else path for role, path in expected.items()}


def test_there_are_enough_listings():
    assert len(LISTINGS) >= 40
