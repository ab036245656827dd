# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module llama_build_info on the real build, and on a root where things happen."""

from __future__ import annotations

import os
from pathlib import Path


def test_the_real_build(fresh_root: Path, ansible_module):
    build_id = os.path.basename(os.readlink(fresh_root / "current"))
    (fresh_root / "instances" / "chat").mkdir(parents=True)
    instance = fresh_root / "instances" / "chat" / "instance.json"
    instance.write_text(f'["{fresh_root}/builds/{build_id}/bin/llama-server"]')
    found = ansible_module("llama_build_info", {"root": str(fresh_root), "scope": "user"}, check=True)
    assert not found["changed"]
    assert (found["active"], found["previous"]) == (build_id, None)
    [build] = found["builds"]
    assert (build["id"], build["active"], build["whole"], build["backend"]) == (build_id, True, True, "cpu")
    assert build["used_by"] == [str(instance)]
    assert build["capabilities"]["options"] > 200
    assert "draft-mtp" in build["capabilities"]["speculative"]
    assert build["capabilities"]["rpc"]
    assert build["size"] > 10 << 20
    assert found["disk"]["builds"] >= build["size"]
    assert found["disk"]["free"] > 0


def test_a_damaged_build_is_shown_as_such(fresh_root: Path, ansible_module):
    folder = (fresh_root / "current").resolve()
    for name in ("capabilities.json", "bin/llama-bench"):
        (folder / name).unlink()  # a hard link of the shared root
    (folder / "capabilities.json").write_text("{")
    [build] = ansible_module("llama_build_info", {"root": str(fresh_root), "scope": "user"})["builds"]
    assert (build["whole"], build["capabilities"]) == (False, None)


def test_an_empty_host(tmp_path, ansible_module):
    found = ansible_module("llama_build_info", {"root": str(tmp_path / "none"), "scope": "user"})
    assert found["builds"] == []
    assert found["disk"] == {"builds": 0, "work": 0, "cache": 0, "free": None}
