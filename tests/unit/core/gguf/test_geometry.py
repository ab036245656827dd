# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import Untrusted
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.gguf import geometry
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import plan
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.launch import Launch
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.table import Device
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "memory"))

import recorded

CARD = (Device("one", "cuda", 1 << 40, 1 << 40), Device("two", "cuda", 1 << 40, 1 << 40))


@pytest.mark.parametrize("name", sorted(recorded.models()))
def test_a_geometry_has_the_memory_of_its_header(name):
    header = recorded.header(name)
    packed = json.loads(json.dumps(geometry.pack(header)))
    launch = Launch(ctx_size=4096, tensor_split=(3, 2))
    tables = [plan.assemble(plan.Model(one), launch, CARD) for one in (header, geometry.unpack(packed))]
    assert tables[0] == tables[1]
    assert len(json.dumps(packed)) < 64 << 10


KIND = [["blk.{}.a", [32, 2], 0, [[0, 3]]]]
BROKEN = {
    "nothing": {},
    "list": [],
    "tensors": {"metadata": {}, "tensors": 3},
    "type": {"metadata": {}, "tensors": [["a", [1], 9999, []]]},
    "negative": {"metadata": {}, "tensors": [["a", [-1], 0, []]]},
    "huge": {"metadata": {}, "tensors": [["a", [1 << 61, 4], 0, []]]},
    "dimensions": {"metadata": {}, "tensors": [["a", [1, 1, 1, 1, 1], 0, []]]},
    "many": {"metadata": {}, "tensors": [["a{}", [1], 0, [[0, 65535]] * 9]]},
    "text": {"metadata": {"general.architecture": "{{ x }}"}, "tensors": KIND},
    "nested": {"metadata": {"a.b": [[1]]}, "tensors": KIND},
}


@pytest.mark.parametrize("packed", BROKEN.values(), ids=BROKEN.keys())
def test_what_no_header_packs_to_is_refused(packed):
    with pytest.raises(Untrusted):
        geometry.unpack(packed)


def holding(inner):
    keys = st.sampled_from(["metadata", "tensors", "x"])
    return st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), holding, max_leaves=12))
def test_nothing_but_a_typed_error(packed):
    try:
        geometry.unpack(packed)
    except Untrusted:
        pass
