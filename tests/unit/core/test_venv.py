# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import sys

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import venv
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput


def test_the_stamp_names_the_python_and_the_packages():
    version = f"python {sys.version_info[0]}.{sys.version_info[1]}\n"
    assert venv.stamp([]) == version
    assert venv.stamp(["psutil>=5", "supervisor"]) == version + "psutil>=5\nsupervisor\n"


@pytest.mark.parametrize("requirement", ["", " ", "--index-url=http://evil", "-r/etc/passwd", "a\n--pre", "\na", "#x"])
def test_a_requirement_is_no_option(requirement):
    with pytest.raises(InvalidInput):
        venv.stamp(["psutil", requirement])


def test_a_folder_without_a_stamp_was_never_completed(tmp_path):
    assert venv.current(str(tmp_path)) is None
    (tmp_path / venv.STAMP).write_text(venv.stamp(["psutil"]))
    assert venv.current(str(tmp_path)) == venv.stamp(["psutil"])
