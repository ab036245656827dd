# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files may go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import fetch, modelgc, modelref
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.hub import Hub
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.modelsource import Options
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.stores import Store
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree, ensure


@pytest.fixture
def tree(tmp_path):
    tree = Tree(str(tmp_path / "root"), "user")
    ensure(tree)
    fetch.bring(tree, modelref.request({"name": "tiny", "source": "builtin:tiny"}), Options(Hub()))
    return tree


def put(tree, *paths):
    for path in paths:
        target = Path(tree.models, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"12345")


def test_only_models_that_nobody_has_go(tree):
    put(tree, "o/r/old.gguf", "o/r/.part-m.00", "o/r/.part-m.11", "o/r/notes.txt", "o/r/unit.gguf")
    os.utime(Path(tree.models, "o/r/.part-m.00"), (1, 1))
    texts = [f"ExecStart=llama-server --model {tree.models}/o/r/unit.gguf"]
    found = modelgc.unused(tree, texts)
    assert [(os.path.relpath(item.path, tree.models), item.size) for item in found] == [
        ("o/r/.part-m.00", 5),
        ("o/r/old.gguf", 5),
    ]
    for item in found:
        os.unlink(item.path)
    assert modelgc.unused(tree, texts) == []
    assert sorted(os.listdir(os.path.join(tree.models, "o/r"))) == [".part-m.11", "notes.txt", "unit.gguf"]
    assert modelgc.usage(tree) == {"tiny": len(tinymodel.content())}


def test_a_look_removes_nothing_and_a_unit_keeps_its_model(tree):
    put(tree, "o/r/old.gguf", "o/r/unit.gguf")
    folder = os.path.join(tree.root, "supervisor", "conf.d")
    os.makedirs(folder)
    Path(folder, "chat.conf").write_text(f"command=llama-server --model {tree.models}/o/r/unit.gguf")
    seen, used = modelgc.collect(tree, check=True)
    assert used == [f"{os.path.realpath(tree.models)}/{name}" for name in ("builtin/tiny.gguf", "o/r/unit.gguf")]
    assert [os.path.basename(item.path) for item in seen] == ["old.gguf"] and os.path.exists(seen[0].path)
    assert modelgc.collect(tree, check=False)[0] == seen
    assert os.listdir(os.path.join(tree.models, "o/r")) == ["unit.gguf"]


def test_a_folder_that_is_left_empty_goes_too(tree):
    put(tree, "o/r/BF16/old.gguf")
    modelgc.collect(tree, check=False)
    assert sorted(os.listdir(tree.models)) == [".sets", "builtin"]


def test_a_folder_behind_a_link_is_not_entered(tree, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "m.gguf").write_bytes(b"x")
    os.symlink(tmp_path / "elsewhere", os.path.join(tree.models, "link"))
    assert modelgc.unused(tree, []) == []


def test_a_record_that_cannot_be_understood_keeps_everything(tree):
    Path(tree.sets, "tiny.json").write_text("{")
    with pytest.raises(InvalidInput, match="cannot be understood"):
        modelgc.unused(tree, [])


def test_a_shared_store_is_cleaned_only_when_every_host_reported(tree, tmp_path):
    shared = Store(str(tmp_path / "shared"), writable=True, shared=True)
    for name in ("mine.gguf", "theirs.gguf", "old.gguf"):
        path = Path(shared.path, "o/r", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tinymodel.content())
    fetch.bring(tree, modelref.request({"name": "mine", "source": f"{shared.path}/o/r/mine.gguf"}), Options(Hub()))
    places = (Store(str(tmp_path / "ro")), shared)
    assert modelgc.collect(tree, False, places)[0] == []
    theirs = os.path.realpath(f"{shared.path}/o/r/theirs.gguf")
    found, used = modelgc.collect(tree, False, places, elsewhere=[theirs])
    assert [item.path for item in found] == [f"{shared.path}/o/r/old.gguf"]
    assert os.path.realpath(f"{shared.path}/o/r/mine.gguf") in used
    assert sorted(os.listdir(f"{shared.path}/o/r")) == ["mine.gguf", "theirs.gguf"]
