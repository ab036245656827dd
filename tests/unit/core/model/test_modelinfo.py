# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What headers say: of files, of shards, and of files on a server that are not fetched."""

from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, Unreachable, Untrusted
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import modelinfo, modelref
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.hub import Hub
from fixtures.gguf_bytes import ARRAY, STRING, U32, gguf_file, gguf_model

TINY = tinymodel.content()
REPO = "owner/model-GGUF"
WORDS = ("tokenizer.ggml.tokens", ARRAY, (STRING, ["w" * 992] * 3000))  # 3 MB of vocabulary
SHARDS = {
    f"m-Q8_0-0000{number + 1}-of-00002.gguf": gguf_model(
        64, ("split.no", U32, number), ("split.count", U32, 2), *([WORDS] if number == 0 else [])
    )
    for number in range(2)
}


@pytest.fixture
def look(hub):
    def call(source, files=(), revision=None, token=None):
        return modelinfo.read(modelref.parse(source), files, revision, Hub.open(hub.endpoint, token))

    return call


def test_a_file(look, tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(TINY)
    found = look(str(path))
    assert found["architecture"] == "llama"
    assert found["context_length"] == tinymodel.CONTEXT_LENGTH
    assert (found["shards"], found["complete"]) == (1, True)
    assert found["files"] == [{"path": str(path), "size": len(TINY)}]
    mix = found["quantisation"].values()
    assert sum(entry["values"] for entry in mix) == found["parameters"]
    assert sum(entry["bytes"] for entry in mix) < found["size"] == len(TINY)
    assert found["layers"] and found["heads"] and found["vocabulary"]


def test_shards_beside_a_file_and_one_that_is_missing(look, tmp_path):
    for name, data in SHARDS.items():
        (tmp_path / name).write_bytes(data)
    first, second = (str(tmp_path / name) for name in SHARDS)
    found = look(second)
    assert [file["path"] for file in found["files"]] == [first, second]
    assert (found["vocabulary"], found["shards"], found["complete"]) == (3000, 2, True)
    (tmp_path / "renamed.gguf").write_bytes(SHARDS["m-Q8_0-00001-of-00002.gguf"])
    alone = look(str(tmp_path / "renamed.gguf"))
    assert not alone["complete"] and "shard 1 of 2" in alone["problem"]


def test_layers_that_differ_are_a_list(look, tmp_path):
    path = tmp_path / "m.gguf"
    blocks = ("llama.block_count", U32, 2)
    path.write_bytes(gguf_model(8, blocks, ("llama.attention.head_count_kv", ARRAY, (U32, [4, 2]))))
    assert look(str(path))["heads_kv"] == [4, 2]
    path.write_bytes(gguf_model(8, blocks, ("llama.attention.head_count_kv", ARRAY, (U32, [4, 4]))))
    assert look(str(path))["heads_kv"] == 4


def test_a_model_of_the_hub_costs_few_bytes(look, hub):
    commit = hub.push(REPO, SHARDS)
    hub.repos[REPO].token = "hf_secret"
    found = look(f"{REPO}:Q8_0", token="hf_secret")
    assert (found["revision"], found["vocabulary"], found["complete"]) == (commit, 3000, True)
    assert [file["path"] for file in found["files"]] == list(SHARDS) and found["files"][0]["sha256"]
    assert hub.ranges == ["bytes=0-1048575", "bytes=1048576-3145727", "bytes=0-1048575"]
    assert {sent for server, *_rest, sent in hub.requests if server == "cdn"} == {""}, "no token reaches the CDN"


def test_a_projector_by_its_name(look, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY, "mmproj-F16.gguf": gguf_file("clip", 8)})
    assert look(REPO, ["mmproj-F16.gguf"])["architecture"] == "clip"


def test_a_url(look, hub):
    hub.plain["a.gguf"] = TINY
    found = look(f"{hub.cdn}/a.gguf?key=secret")
    assert found["files"] == [{"path": f"{hub.cdn}/a.gguf", "size": len(TINY)}]
    assert len(hub.ranges) == 1


@pytest.mark.parametrize(
    ("data", "fault", "error", "reason"),
    [
        (TINY, {"no_ranges": True}, Untrusted, "ignores ranges"),
        (gguf_model(64, WORDS), {"shifted": True}, Untrusted, "Content-Range"),
        (TINY, {"errors": [(500, {})]}, Unreachable, "status 500"),
        (TINY, {"cuts": 1}, Unreachable, "bytes"),
        (TINY[:-9], {}, Untrusted, "cut off"),
        (TINY[:90], {}, Untrusted, "ends inside its header"),
        (b"", {}, Untrusted, "empty"),
        (b"<html>", {}, Untrusted, "instead of b'GGUF'"),
    ],
)
def test_a_url_that_gives_something_else(look, hub, data, fault, error, reason):
    hub.plain["a.gguf"] = data
    vars(hub).update(fault)
    with pytest.raises(error, match=reason) as caught:
        look(f"{hub.cdn}/a.gguf?key=secret")
    assert "secret" not in str(caught.value)


def test_what_lies_nowhere(look, tmp_path, hub):
    for source in (str(tmp_path / "none.gguf"), "/no/folder/m.gguf", "builtin:tiny"):
        with pytest.raises(InvalidInput):
            look(source)
    with pytest.raises(Unreachable, match="404"):
        look(f"{hub.cdn}/none.gguf")


def test_a_gated_file_names_the_way(look, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    hub.repos[REPO].token, hub.repos[REPO].gated = "hf_secret", True
    with pytest.raises(InvalidInput, match="gated"):
        look(f"{REPO}:Q8_0")
