# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever happens while a build is received, what was active stays active, and the next run goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import artifact, builds, recipe
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.files import sha256_of, write_json
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree
from building_runs import run_build, small_disk, wait_for
from fixtures.upstream import Upstream, active, names


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The sources of two artifacts: of a build, and of another one."""
    folder = tmp_path_factory.mktemp("builder")
    upstream = Upstream(folder / "upstream")
    found = []
    for behaviour in ("good", "good again"):
        upstream.commit(behaviour)
        done = run_build(folder, root=str(folder / "root"), source=upstream.source(), artifacts=[])
        assert not done["failed"], done
        found.append({**done, "source": source(done["artifact"]["path"])})
    return found


def source(path):
    return {"type": "artifact", "path": str(path), "checksum": sha256_of(str(path))}


def fat(made, folder, filler: bytes):
    """The source of an artifact of the same build with one file more."""
    manifest = {**made["manifest"], "recipe": {**made["manifest"]["recipe"], "compiler": "gnu-1"}}
    manifest["id"] = recipe.build_id(manifest["version"], manifest["recipe"])
    tree = Tree(str(folder), "user")
    target = tree.build(manifest["id"])
    shutil.copytree(made["path"], target)
    path = os.path.join(target, "lib", "filler")
    with open(path, "wb") as file:
        file.write(filler)
    manifest["files"] = {**manifest["files"], "lib/filler": {"sha256": sha256_of(path), "size": len(filler)}}
    write_json(os.path.join(target, "manifest.json"), manifest)
    return source(artifact.pack(tree, builds.find(tree, manifest["id"])).path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
@pytest.mark.parametrize("fetched", [False, True], ids=["while it is fetched", "while it is unpacked"])
def test_a_disk_that_fills_up(made, root, build, tmp_path, fetched):
    filler = bytes(12 << 20) if fetched else os.urandom(12 << 20)
    with small_disk(root, "8m"):
        good = build(source=made[0]["source"])["build_id"]
        result = build(source=fat(made[0], tmp_path / "forge", filler))
        assert result["failed"] and "is full; what was active stays active" in result["msg"], result
        assert (active(root), names(root / "builds")) == (good, [good])
        assert build(source=made[1]["source"])["active"] == made[1]["build_id"]


def test_killed_while_it_is_fetched_the_next_run_goes_on(made, root, build, tmp_path):
    good = build(source=made[0]["source"])["build_id"]
    wanted, pipe = made[1]["source"], tmp_path / "pipe"
    os.mkfifo(pipe)
    run = threading.Thread(target=lambda: build(source={**wanted, "path": str(pipe)}))
    run.start()
    with open(wanted["path"], "rb") as file, open(pipe, "wb") as half:
        half.write(file.read(made[1]["artifact"]["size"] // 2))
        half.flush()
        wait_for(lambda: list(root.glob("builds/.staging-received-*/artifact.tar.gz")))
        os.kill(json.loads((root / ".lock").read_text())["pid"], signal.SIGKILL)
        run.join()
    assert active(root) == good and len(names(root / "builds")) == 2, "what was half there is set apart"
    result = build(source=wanted)
    assert (result["received"], result["active"]) == (True, made[1]["build_id"]), result
    assert names(root / "builds") == sorted([good, made[1]["build_id"]])
