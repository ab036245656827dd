# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job did to a host is told with the next look, however seldom a part is read."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import runtime
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.supervisor import Supervisor
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import modelset
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.onhost.watch import Watch
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import open_tree


def test_a_model_that_came_or_went_is_told_at_once(tmp_path: Path) -> None:
    tree = open_tree(str(tmp_path / "root"), "user")
    runtime.prepare(tree, None, check=False, manager="supervisor")
    models = next(part for part in Watch(tree, Supervisor(tree), "1", len).parts if part.kind == "models")
    assert models.news(100.0) is not None and models.news(102.0) is None
    file = tmp_path / "little.gguf"
    file.write_bytes(b"GGUF")
    modelset.save(
        tree, modelset.ModelSet("little", str(file), str(file), (modelset.look(str(file), "0" * 64),), "llama")
    )
    told = models.news(104.0)
    assert told is not None and [item["name"] for item in told["sets"]] == ["little"]
    assert models.news(106.0) is None
    modelset.forget(tree, "little")
    told = models.news(108.0)
    assert told is not None and told["sets"] == []
