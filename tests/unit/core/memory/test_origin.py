# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the headers of a plan come from: files, and a hub that is asked for headers alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.gguf import read_header, sparse
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import origin
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.origin import Wanted
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.plan import Model
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.hub import Hub

TINY = tinymodel.content()
REPO = "owner/model-GGUF"


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(TINY)
    return str(path)


def test_a_file_with_its_projector_and_draft(tiny: str) -> None:
    found = origin.find(Wanted(tiny, mmproj=tiny, draft=tiny), None, Hub())
    assert (found.path, found.mmproj, found.draft) == (tiny, len(TINY), found.header)
    assert not origin.needs_hub(Wanted(tiny), None)


def test_a_repository_gives_its_projector_and_its_draft(hub) -> None:
    files = {"model-Q4_0.gguf": TINY, "draft-Q8_0.gguf": TINY, "mmproj-F16.gguf": TINY + b"\0" * 8}
    commit = hub.push(REPO, files)
    wanted = Wanted(f"{REPO}:Q4_0", commit, mmproj="auto", draft="draft-Q8_0.gguf")
    found = origin.find(wanted, None, Hub.open(hub.endpoint, None))
    assert (found.path, found.mmproj) == (None, len(TINY) + 8)
    assert found.draft is not None and found.draft.tensors == found.header.tensors
    assert origin.needs_hub(wanted, None)
    other = Wanted({"ref": f"{REPO}:Q4_0", "mmproj": "none"}, draft=f"{REPO}:Q8_0")
    hub.push(REPO, {"model-Q4_0.gguf": TINY, "small-Q8_0.gguf": TINY})
    found = origin.find(other, None, Hub.open(hub.endpoint, None))
    assert found.mmproj == 0 and found.draft is not None


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted("chat"), "needs a root"),
        (Wanted("../chat"), "model source"),
        (Wanted({"sources": "a/b"}), "source"),
        (Wanted(7), "model source"),
    ],
)
def test_what_is_no_model_is_refused(wanted: Wanted, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        origin.find(wanted, None, Hub())


def test_a_projector_that_is_not_there_is_refused(tiny: str) -> None:
    with pytest.raises(InvalidInput, match="no projector"):
        origin.find(Wanted(tiny, mmproj="/no/such.gguf"), None, Hub())


def test_a_file_with_the_header_of_a_model_has_its_numbers_and_its_length(tiny: str, tmp_path: Path) -> None:
    header = read_header(tiny)
    path = str(tmp_path / "sparse.gguf")
    sparse.write_like(path, header, Model(header).hparams.vocabulary)
    again = read_header(path)
    assert [(item.name, item.dims, item.type) for item in again.tensors] == [
        (item.name, item.dims, item.type) for item in header.tensors
    ]
    assert Model(again).hparams.layers == Model(header).hparams.layers
