# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""References to models: what is understood, what is refused, and which files of a listing are meant."""

from __future__ import annotations

import re

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import modelref
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.modelref import Entry, Source
from hypothesis import given
from hypothesis import strategies as st

DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("/srv/models/a b.gguf", Source("file", "/srv/models/a b.gguf")),
        ("https://host.example/a.gguf", Source("url", "https://host.example/a.gguf")),
        ("http://127.0.0.1:8000/x?y=1", Source("url", "http://127.0.0.1:8000/x?y=1")),
        ("builtin:tiny", Source("builtin", "tiny")),
        ("Qwen/Qwen3-8B-GGUF:Q4_K_M", Source("hub", "Qwen/Qwen3-8B-GGUF", "Q4_K_M")),
        ("unsloth/Qwen3-30B-A3B-GGUF:UD-Q4_K_XL", Source("hub", "unsloth/Qwen3-30B-A3B-GGUF", "UD-Q4_K_XL")),
        ("ggml-org/gemma-3-1b-it_x.y", Source("hub", "ggml-org/gemma-3-1b-it_x.y")),
    ],
)
def test_understood(text, source):
    assert modelref.parse(text) == source


HOSTILE = [
    None,
    7,
    "",
    "model",
    "../model.gguf",
    "models/../x/y",
    "/srv/../etc/passwd",
    "/srv/a\n.gguf",
    "/srv/a\x1b[2J.gguf",
    "-o/repo",
    "--config/x",
    "owner/-repo",
    "owner/repo..x",
    "owner\\repo",
    "owner/repo:",
    "owner/repo:Q4 K",
    "owner/repo:../x",
    "owner/repo/extra",
    "owner/repo--x",
    ".hidden/repo",
    "owner/repo.",
    "owner/repo\u202e",
    "https://",
    "https://[::1/a.gguf",
    "https://host:99999/a.gguf",
    "https://user:secret@host/a.gguf",
    "https://host/a.gguf#part",
    "https://host/../a.gguf",
    "https://host/a b.gguf",
    "ftp://host/a.gguf",
    "file:///etc/passwd",
    "builtin:huge",
    "o/" + "r" * 3000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_refused(text):
    with pytest.raises(InvalidInput):
        modelref.parse(text)


@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused(text):
    try:
        source = modelref.parse(text)
    except InvalidInput:
        return
    assert source.kind in ("file", "url", "hub", "builtin")
    assert str(source).isprintable()


def test_a_url_is_shown_without_its_query():
    assert str(modelref.parse("https://host/a.gguf?key=secret")) == "https://host/a.gguf"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/dir/My-Model.Q8_0.gguf?x=/y.gguf", "My-Model.Q8_0.gguf"),
        ("https://h/%2e%2e%2fetc.gguf", "etc.gguf"),
        ("https://h/-rf.gguf", "model.gguf"),
        ("https://h/download", "model.gguf"),
        ("https://h/a%0ab.gguf", "model.gguf"),
    ],
)
def test_the_name_of_a_file_from_a_url(url, name):
    assert modelref.file_name(url) == name


GOOD = {"name": "m", "source": "o/r:Q8_0"}
URL = "https://h/a.gguf"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({**GOOD, "name": "M"}, "cannot name a model"),
        ({**GOOD, "sha": "x"}, "has no key 'sha'"),
        ({"name": "m"}, "None is no model source"),
        ({"name": "m", "source": URL}, "has no checksum"),
        ({**GOOD, "checksum": "md5:abc"}, "no checksum"),
        ({**GOOD, "revision": "-x"}, "no revision"),
        ({**GOOD, "revision": "a/../b"}, "no revision"),
        ({**GOOD, "revision": "main\n"}, "no revision"),
        ({**GOOD, "files": ["a.gguf"]}, "both a quantisation and files"),
        ({"name": "m", "source": "o/r", "files": ["../a.gguf"]}, "cannot name a file"),
        ({"name": "m", "source": "o/r", "files": ["/a.gguf"]}, "cannot name a file"),
        ({"name": "m", "source": URL, "checksum": DIGEST, "revision": "main"}, "belong to a Hugging Face"),
    ],
)
def test_a_wrong_entry_is_refused(entry, reason):
    with pytest.raises(InvalidInput, match=reason):
        modelref.request(entry)


def test_a_checksum_is_kept_in_one_form():
    entry = {"name": "m", "source": URL, "checksum": "sha256:" + DIGEST.upper()}
    assert modelref.request(entry).checksum == DIGEST


def test_a_url_is_a_place_and_no_identity():
    first = modelref.request({"name": "m", "source": URL + "?sig=1", "checksum": DIGEST})
    second = modelref.request({"name": "m", "source": "https://mirror/a.gguf", "checksum": DIGEST})
    assert first.identity() == second.identity()


def test_names_are_unique_over_both_states():
    with pytest.raises(InvalidInput, match="Two models"):
        modelref.read_all([GOOD, {"name": "m", "state": "absent"}])
    present, absent = modelref.read_all([GOOD, {"name": "gone", "state": "absent"}])
    assert ([item.name for item in present], absent) == (["m"], ["gone"])


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("Qwen/Qwen3-8B-GGUF:Q4_K_M", "qwen-qwen3-8b-gguf-q4-k-m"),
        ("builtin:tiny", "builtin-tiny"),
        ("unsloth/Qwen3-235B-A22B-Instruct-2507-GGUF:UD-Q4_K_XL", "unsloth-qwen3-235b-a22b-instruc-1c35888e"),
    ],
)
def test_the_name_of_a_set_that_a_reference_makes(reference, name):
    assert modelref.set_name(reference) == name


@given(st.from_regex(r"[A-Za-z0-9]{1,30}/[A-Za-z0-9]{1,60}(:[A-Z0-9_]{1,20})?", fullmatch=True))
def test_names_of_sets_are_names(reference):
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", modelref.set_name(reference))


def test_long_references_that_begin_alike_get_different_names():
    assert modelref.set_name("o/" + "r" * 60 + ":Q4_0") != modelref.set_name("o/" + "r" * 60 + ":Q8_0")


def test_an_instance_cannot_name_a_url():
    with pytest.raises(InvalidInput, match="needs a checksum"):
        modelref.set_name(URL)


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
    assert [entry.path for entry in modelref.choose("o/r", LISTING, quant)] == paths


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
    ],
)
def test_a_choice_that_is_not_exactly_one_complete_model_is_refused(quant, files, reason):
    with pytest.raises(InvalidInput) as caught:
        modelref.choose("o/r", LISTING, quant, files)
    assert re.search(reason, str(caught.value))


def test_candidates_are_listed_with_their_sizes():
    with pytest.raises(InvalidInput, match=re.escape("Model-Q4_K_M.gguf (5.0 GiB)")):
        modelref.choose("o/r", LISTING, "Q3_K")
    with pytest.raises(InvalidInput, match="no GGUF model at all"):
        modelref.choose("o/r", LISTING[:3], "Q3_K")


def test_any_shard_stands_for_all_and_one_model_needs_no_word():
    shards = LISTING[13:15]
    assert list(modelref.choose("o/r", shards, None, [shards[1].path])) == shards
    assert list(modelref.choose("o/r", shards, None)) == shards
