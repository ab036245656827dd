# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""References to models: what is understood, what is refused, and which files of a listing are meant."""

from __future__ import annotations

import re

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import modelref
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.modelref import Source
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
        ({"name": "m", "source": URL, "checksum": DIGEST, "mmproj": "auto"}, "mmproj belongs to"),
        ({"name": "m", "source": "builtin:tiny", "draft": "d.gguf"}, "draft belongs to"),
        ({**GOOD, "draft": "auto"}, "never guessed"),
        ({**GOOD, "draft": "../d.gguf"}, "cannot name a file"),
        ({**GOOD, "mmproj": "/srv/mmproj.gguf"}, "cannot name a file"),
        ({"name": "m", "source": "/srv/m.gguf", "mmproj": "/srv/../mmproj.gguf"}, "cannot name a file"),
    ],
)
def test_a_wrong_entry_is_refused(entry, reason):
    with pytest.raises(InvalidInput, match=reason):
        modelref.request(entry)


def test_a_set_without_companions_is_known_as_before():
    plain = modelref.request(GOOD).identity()
    assert modelref.request({**GOOD, "mmproj": "none"}).identity() == plain
    assert modelref.request({**GOOD, "mmproj": "auto", "draft": "d.gguf"}).identity() == {
        **plain,
        "mmproj": "auto",
        "draft": "d.gguf",
    }


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


@given(st.from_regex(r"[A-Za-z0-9]{1,30}/[A-Za-z0-9]{1,60}(:[A-Z0-9][A-Z0-9_]{0,19})?", fullmatch=True))
def test_names_of_sets_are_names(reference):
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", modelref.set_name(reference))


def test_long_references_that_begin_alike_get_different_names():
    assert modelref.set_name("o/" + "r" * 60 + ":Q4_0") != modelref.set_name("o/" + "r" * 60 + ":Q8_0")


def test_an_instance_cannot_name_a_url():
    with pytest.raises(InvalidInput, match="needs a checksum"):
        modelref.set_name(URL)
