# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import source_git
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from hypothesis import given
from hypothesis import strategies as st

A, B, C, D = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
REFS = {
    "refs/heads/master": A,
    "refs/heads/gg/server-fixes": B,
    "refs/heads/both": A,
    "refs/tags/both": B,
    "refs/tags/same": C,
    "refs/heads/same": C,
    "refs/tags/b999": A,
    "refs/tags/b9931": B,
    "refs/tags/b10000": C,
    "refs/tags/v0.5.9": A,
    "refs/tags/v0.5.10": D,
    "refs/tags/v0.6.0-rc1": B,
    "refs/tags/deadbeef": A,
}


@pytest.mark.parametrize(
    ("ref", "chosen"),
    [
        ("latest", ("channel", D)),
        ("stable", ("channel", D)),
        ("nightly", ("channel", C)),
        ("master", ("branch", A)),
        ("gg/server-fixes", ("branch", B)),
        ("refs/heads/both", ("branch", A)),
        ("refs/tags/both", ("tag", B)),
        ("same", ("tag", C)),
        ("b9931", ("tag", B)),
        ("deadbeef", ("tag", A)),
        ("ddddddd", ("commit", D)),
        ("1234567", None),
    ],
)
def test_choose(ref, chosen):
    assert source_git.choose(ref, REFS) == chosen


def test_channels_fall_back_to_build_tags_and_need_a_release():
    assert source_git.choose("latest", {"refs/tags/b7": A, "refs/tags/b10": B}) == ("channel", B)
    with pytest.raises(InvalidInput, match="no release tag"):
        source_git.choose("latest", {"refs/heads/master": A, "refs/heads/v1.0.0": A})


def test_a_name_with_two_meanings_is_refused():
    with pytest.raises(InvalidInput, match=r"refs/tags/both or refs/heads/both"):
        source_git.choose("both", REFS)


@pytest.mark.parametrize(
    ("ref", "similar"),
    [("v0.5.1", "v0.5.10"), ("b99", "b999"), ("mastr", "master"), ("server-fixes", "gg/server-fixes")],
)
def test_an_unknown_reference_lists_those_that_look_like_it(ref, similar):
    with pytest.raises(InvalidInput, match="no tag, branch or commit") as caught:
        source_git.choose(ref, REFS)
    assert similar in caught.value.details["similar"]


HOSTILE = [
    "",
    "..",
    "../../etc",
    "a..b",
    "-b",
    "--upload-pack=touch /tmp/x",
    "v1\nv2",
    "v1\n",
    "a b",
    "a\tb",
    "a~1",
    "a^",
    "a:b",
    "HEAD@{1}",
    "a//b",
    "/a",
    "a/",
    "a/.b",
    "a.lock",
    "a.",
    "x" * 300,
    "$(id)",
    "a;id",
    "`id`",
    "é",
    "\x00",
]


@pytest.mark.parametrize("ref", HOSTILE)
def test_hostile_references_are_refused_before_any_command(ref):
    with pytest.raises(InvalidInput, match="cannot be a git reference"):
        source_git.check_ref(ref)


@given(st.text())
def test_what_passes_is_harmless(ref):
    try:
        source_git.check_ref(ref)
    except InvalidInput:
        return
    assert not ref.startswith("-")
    assert ref.isascii()
    assert not set(ref) & set(" \t\r\n~^:?*[\\\0$`;|&<>()'\"{}")
    assert ".." not in ref


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://github.com/ggml-org/llama.cpp", None),
        ("https://host:8443/x.git", None),
        ("ssh://git@host:2222/x.git", None),
        ("git@host:org/x.git", None),
        ("file:///srv/x.git", None),
        ("/srv/x.git", "file:///srv/x.git"),
    ],
)
def test_addresses(url, address):
    assert source_git.check_url(url) == (address or url)


@pytest.mark.parametrize(
    "url",
    [
        "http://host/x",
        "git://host/x",
        "ftp://host/x",
        "ext::sh -c id",
        "https://user:secret@host/x",
        "https://token@host/x",
        "ssh://-oProxyCommand=id/x",
        "-oProxyCommand=id",
        "git@-host:x",
        "https:///x",
        "https://host",
        "file://host/x",
        "https://ho st/x",
        "https://host/x\n",
        "https://[/x",
        "relative/path",
        "",
    ],
)
def test_other_addresses_are_refused_and_a_password_is_not_shown(url):
    with pytest.raises(InvalidInput) as caught:
        source_git.check_url(url)
    assert "secret" not in str(caught.value)


def test_annotated_tags_are_followed_to_their_commit():
    text = f"{A}\trefs/tags/v1\n{B}\trefs/tags/v1^{{}}\n{C}\trefs/heads/x\nwarning: nonsense\n"
    assert source_git.parse_refs(text) == {"refs/tags/v1": B, "refs/heads/x": C}
