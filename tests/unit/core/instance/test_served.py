# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the files of an instance lie."""

from __future__ import annotations

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.served import Served
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.modelset import ModelSet


def test_a_unit_is_told_of_the_folder_behind_a_link_too(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "m.gguf").touch()
    (tmp_path / "link").symlink_to("disk")
    path = str(tmp_path / "link" / "m.gguf")
    served = Served(ModelSet("m", "o/r", path, (), "llama"), mmproj=str(tmp_path / "disk" / "p.gguf"))
    assert served.folders == (f"{tmp_path}/link", f"{tmp_path}/disk")
