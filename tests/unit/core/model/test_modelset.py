# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded sets: what is believed, what is noticed, and who owns a file."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import gguf
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, Untrusted
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.files import sha256_of, write_json
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import modelset
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.modelset import ModelSet
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree
from fixtures.gguf_bytes import U32, gguf_model


@pytest.fixture
def tree(tmp_path):
    tree = Tree(str(tmp_path / "root"), "user")
    os.makedirs(tree.sets)
    return tree


@pytest.fixture
def made(tree):
    """`made(name, text)`: a recorded set with one file."""

    def make(name: str, text: str = "weights", source: str = "o/r:Q8_0") -> ModelSet:
        path = os.path.join(tree.models, f"{name}.gguf")
        with open(path, "w") as file:
            file.write(text)
        found = ModelSet(
            name=name,
            source=source,
            path=path,
            files=(modelset.look(path, sha256_of(path)),),
            architecture="llama",
            request={"source": source},
        )
        modelset.save(tree, found)
        return found

    return make


def test_a_record_is_read_as_it_was_written(tree, made):
    found = made("m")
    assert modelset.load(tree, "m") == found
    assert modelset.load_all(tree) == [found]
    assert modelset.load(tree, "other") is None


@pytest.mark.parametrize("content", ["", "[]", "7", '{"schema": 1}', '{"schema": 1, "files": [7]}'])
def test_a_record_that_cannot_be_understood_is_none(tree, content):
    Path(tree.sets, "m.json").write_text(content)
    assert modelset.load(tree, "m") is None
    assert modelset.is_recorded(tree, "m")


def test_a_record_of_a_later_version_is_none(tree, made):
    write_json(os.path.join(tree.sets, "m.json"), {**made("m").record(), "new_field": 1})
    assert modelset.load(tree, "m") is None


@pytest.mark.parametrize("name", ["../x", "a/b", ""])
def test_a_name_is_no_path(tree, name):
    with pytest.raises(InvalidInput):
        modelset.load(tree, name)


def test_an_untouched_file_is_believed_and_a_touched_one_hashed(tree, made):
    found = made("m")
    os.utime(found.path, ns=(1, 1))
    now = modelset.refreshed(found)
    assert now.files[0].mtime_ns == 1
    assert replace(now, files=found.files) == found


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (os.unlink, "is missing"),
        (lambda path: os.truncate(path, 3), "has 3 bytes; 7 were recorded"),
        (lambda path: Path(path).write_text("WEIGHTS"), "was recorded"),
    ],
    ids=["missing", "truncated", "other content"],
)
def test_a_changed_file_is_noticed(made, damage, reason):
    found = made("m")
    damage(found.path)
    with pytest.raises(Untrusted, match=reason):
        modelset.check(found)


def test_only_verify_notices_what_kept_its_time(tree, made):
    found = made("m")
    state = os.stat(found.path)
    with open(found.path, "r+") as file:
        file.write("WEIGHTS")
    os.utime(found.path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert modelset.refreshed(found) == found
    with pytest.raises(Untrusted, match="was recorded"):
        modelset.refreshed(found, verify=True)


def test_a_file_of_another_set_is_not_replaced(tree, made):
    first = made("first")
    second = replace(first, name="second", files=(replace(first.files[0], sha256="0" * 64),))
    with pytest.raises(InvalidInput, match="belongs to the model 'first'"):
        modelset.check_free(tree, second)
    modelset.check_free(tree, replace(first, name="second"))


def test_whose_files_go_with_a_set(tree, made):
    first, local = made("first"), made("local", source="/somewhere/local.gguf")
    assert modelset.unshared(tree, first, [tree.models]) == [first.path]
    assert modelset.unshared(tree, local, [tree.models]) == []
    modelset.save(tree, replace(first, name="second"))
    assert modelset.unshared(tree, first, [tree.models]) == []


def headers(*splits):
    pairs = [[(f"split.{key}", U32, value) for key, value in split.items()] for split in splits]
    return [gguf.parse(io.BytesIO(gguf_model(8, *some)).read) for some in pairs]


@pytest.mark.parametrize(
    "splits",
    [
        [{}],
        [{"no": 0, "count": 1}],
        [{"no": 0, "count": 2, "tensors.count": 2}, {"no": 1, "count": 2}],
    ],
)
def test_whole_models(splits):
    modelset.check_headers(headers(*splits))


@pytest.mark.parametrize(
    ("splits", "reason"),
    [
        ([{"no": 0, "count": 2}], "File 1 of 1 says it is shard 1 of 2"),
        ([{"no": 1, "count": 2}, {"no": 0, "count": 2}], "File 1 of 2 says it is shard 2 of 2"),
        ([{}, {}], "File 1 of 2 says it is shard 1 of 1"),
        (
            [{"no": 0, "count": 2, "tensors.count": 9}, {"no": 1, "count": 2}],
            "hold 2 tensors; the first one promises 9",
        ),
    ],
)
def test_shards_that_are_no_whole_model(splits, reason):
    with pytest.raises(Untrusted, match=reason):
        modelset.check_headers(headers(*splits))
