# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reference means, asked of a hub that speaks the real protocol."""

from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import LlamaOpsError
from fixtures import local_hub
from llamaops_panel.candidates import look_up

REPO = "owner/some-GGUF"
FILES = {
    "some-Q4_K_M.gguf": b"GGUF" + b"a" * 40,
    "some-Q8_0-00001-of-00002.gguf": b"GGUF" + b"b" * 60,
    "some-Q8_0-00002-of-00002.gguf": b"GGUF" + b"c" * 60,
    "some-F16-00001-of-00002.gguf": b"GGUF" + b"d" * 90,  # its second shard is missing
    "README.md": b"hello",
}


@pytest.fixture(scope="module")
def hub():
    pytest.importorskip("huggingface_hub")
    with local_hub.serving() as found:
        found.push(REPO, FILES)
        yield found


def test_shards_are_one_candidate_and_the_chosen_one_is_marked(hub):
    found = look_up(f"{REPO}:Q8_0", hub.endpoint)
    rows = [(item["quant"], item["files"], item["size"], item["chosen"]) for item in found["candidates"]]
    assert rows == [("Q4_K_M", 1, 44, False), ("Q8_0", 2, 128, True)]
    assert len(found["revision"]) == 40 and not found["trouble"]


def test_a_reference_that_names_none_says_so_and_lists_them_all(hub):
    found = look_up(f"{REPO}:Q2_K", hub.endpoint)
    assert "Q2_K" in found["trouble"] and len(found["candidates"]) == 2 and not found["chosen"]


@pytest.mark.parametrize("reference", ["/srv/model.gguf", "builtin:tiny", "owner/nothing-here:Q8_0", "$(id)"])
def test_what_is_no_model_of_the_hub_is_refused(hub, reference):
    with pytest.raises(LlamaOpsError):
        look_up(reference, hub.endpoint)
