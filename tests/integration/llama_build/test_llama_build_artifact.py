# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A build that was made elsewhere: one file, proven here, refused when it is not what or for whom it says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import bundle
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import (
    artifact,
    builds,
    recipe,
    source_archive,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.bundle import Wanted
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.files import sha256_of, write_json
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree
from building_runs import run_build
from fixtures.upstream import Upstream, active, names


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    """A root with a build, its repository, and what was said when it was made."""
    folder = tmp_path_factory.mktemp("builder")
    upstream = Upstream(folder / "upstream")
    upstream.commit(tag="v1.0.0")
    result = run_build(folder, root=str(folder / "root"), source=upstream.source(), artifacts=[])
    assert not result["failed"], result
    return upstream, result


@pytest.fixture
def upstream(builder):
    return builder[0]


@pytest.fixture
def made(builder, tmp_path):
    """What the builder says, with a copy of the artifact that a test may spoil."""
    path = shutil.copy(builder[1]["artifact"]["path"], tmp_path / "artifact.tar.gz")
    return {**builder[1], "artifact": {**builder[1]["artifact"], "path": str(path)}}


def source(packed, **more):
    return {"type": "artifact", "path": packed["path"], "checksum": packed["sha256"], **more}


def forged(made, folder, **recipe_facts):
    """The artifact of a build of another recipe with the same files."""
    manifest = {**made["manifest"], "recipe": {**made["manifest"]["recipe"], **recipe_facts}}
    manifest["id"] = recipe.build_id(manifest["version"], manifest["recipe"])
    tree = Tree(str(folder), "user")
    shutil.copytree(made["path"], tree.build(manifest["id"]))
    write_json(os.path.join(tree.build(manifest["id"]), "manifest.json"), manifest)
    packed = artifact.pack(tree, builds.find(tree, manifest["id"]))
    return {"path": packed.path, "sha256": packed.sha256}


def test_the_life_of_an_artifact(made, root, build):
    preview = build(check=True, source=source(made["artifact"]))
    assert (preview["changed"], preview["received"], preview["compiled"]) == (True, True, False)
    assert not root.exists()
    first = build(source=source(made["artifact"]))
    assert (first["changed"], first["build_id"], first["active"]) == (True, made["build_id"], made["build_id"]), first
    assert first["manifest"] == made["manifest"]
    assert sha256_of(first["binaries"]["llama-server"]) == sha256_of(made["binaries"]["llama-server"])
    assert not build(source=source(made["artifact"]))["changed"]
    os.unlink(made["artifact"]["path"])  # a host that has the build needs no artifact
    assert not build(source=source(made["artifact"]))["changed"]
    assert not build(source={**source({"path": None, "sha256": "1" * 64}), "build": made["build_id"]})["changed"]
    assert names(root / "builds") == [made["build_id"]]


def test_a_bundle_brings_the_build_and_may_go_afterwards(made, build, root, tmp_path, ansible_module):
    packed, folder, site = f"{made['build_id']}.tar.gz", tmp_path / "bundle", Path(made["path"]).parents[1]
    foreign = forged(made, tmp_path / "forge", target="x86_64-debian-99-glibc-99.1")["path"]
    before = names(site / "artifacts")
    wanted = {"root": str(site), "path": str(folder), "builds": ["active"], "artifacts": [foreign]}
    preview = ansible_module("llama_bundle", wanted, check=True)
    assert preview["changed"] and f"artifacts/{packed}" in preview["files"] and not folder.exists()
    written = ansible_module("llama_bundle", wanted)
    assert written["changed"] and written["files"] == preview["files"] and names(site / "artifacts") == before
    assert not ansible_module("llama_bundle", wanted)["changed"]
    given = {
        "source": {"type": "artifact", "build": made["build_id"]},
        "bundle": {"path": str(folder), "sha256": written["sha256"]},
    }
    inside = folder / "artifacts" / packed
    whole = inside.read_bytes()
    inside.write_bytes(whole[:-1])
    spoiled = build(**given)
    assert spoiled["failed"] and "has the SHA-256" in spoiled["msg"], spoiled
    other = build(**{**given, "source": {"type": "artifact", "build": "9.9.9-0000000-cpu-00000000"}})
    assert other["failed"] and f"artifacts/{packed}" in other["msg"], other
    newer = build(**{**given, "source": {"type": "artifact", "build": os.path.basename(foreign)[: -len(".tar.gz")]}})
    assert newer["failed"] and "made for glibc 99.1" in newer["msg"], newer
    assert not names(root / "builds")
    inside.write_bytes(whole)
    first = build(**given)
    assert (first["changed"], first["received"], first["active"]) == (True, True, made["build_id"]), first
    shutil.rmtree(folder)
    assert not build(**given)["changed"]


def test_a_bundle_brings_a_source_that_is_compiled_here(made, upstream, build, tmp_path):
    packed = tmp_path / "llama.tar.gz"
    argv = ["git", "-C", upstream.folder, "archive", "--prefix=llama/", f"--output={packed}", "HEAD"]
    subprocess.run(argv, check=True)
    wanted = Wanted(artifacts=(str(packed), made["artifact"]["path"]))
    folder = str(tmp_path / "bundle")
    given = {"path": folder, "sha256": bundle.write(Tree(str(tmp_path / "builder"), "user"), folder, wanted)}
    first = build(source={"type": "archive", "checksum": sha256_of(str(packed))}, bundle=given)
    assert (first["compiled"], first["active"]) == (True, first["build_id"]), first
    missing = build(source={"type": "sdist"}, bundle=given)
    assert missing["failed"] and f"should have {source_archive.known_hash(None)}" in missing["msg"], missing


def test_a_host_that_compiled_it_asks_for_nothing(made, build):
    wanted = {"type": "artifact", "checksum": made["artifact"]["sha256"]}
    again = build(source={**wanted, "build": made["build_id"]}, root=os.path.dirname(os.path.dirname(made["path"])))
    assert (again["changed"], again["failed"]) == (False, False), again
    missing = build(source={**wanted, "build": made["build_id"]})
    assert missing["failed"]
    assert missing["needs_artifact"] == made["build_id"]


def test_a_build_that_can_be_had_is_not_compiled(made, upstream, root, build):
    asked = build(source=upstream.source(), artifacts=[made["build_id"]])
    assert asked["failed"]
    assert asked["needs_artifact"] == made["build_id"]
    assert names(root / "builds") == []
    other = build(source=upstream.source(), artifacts=["9.8.7-0000000-cpu-00000000"])
    assert other["compiled"]
    assert other["artifact"]["size"] == os.stat(other["artifact"]["path"]).st_size


@pytest.mark.parametrize(
    ("recipe_facts", "said"),
    [
        ({"target": "x86_64-debian-99-glibc-99.1"}, "made for glibc 99.1"),
        ({"target": "riscv64-debian-12-glibc-2.36"}, "for riscv64 and this host is"),
        ({"target": f"{os.uname().machine}-alpine-3-musl-1.2"}, "made for musl 1.2"),
    ],
)
def test_a_build_for_another_host_is_refused(made, root, build, tmp_path, recipe_facts, said):
    good = build(source=source(made["artifact"]))["build_id"]
    result = build(source=source(forged(made, tmp_path / "forge", **recipe_facts)))
    assert result["failed"]
    assert said in result["msg"]
    assert (active(root), names(root / "builds")) == (good, [good])


def test_corrupted_on_the_way(made, root, build):
    packed = made["artifact"]
    with open(packed["path"], "r+b") as file:
        file.seek(packed["size"] // 2)
        file.write(b"xx")
    result = build(source=source(packed))
    assert result["failed"]
    assert f"{packed['sha256']} was asked for" in result["msg"]
    assert (active(root), names(root / "builds")) == (None, [])


def test_what_does_not_work_here_is_never_active(made, root, build, tmp_path):
    """It was proven where it was made, and fails on this host: a library is missing, for example."""
    good = build(source=source(made["artifact"]))["build_id"]
    tree = Tree(str(tmp_path / "forge"), "user")
    manifest = {**made["manifest"], "recipe": {**made["manifest"]["recipe"], "compiler": "gnu-1"}}
    manifest["id"] = recipe.build_id(manifest["version"], manifest["recipe"])
    folder = tree.build(manifest["id"])
    shutil.copytree(made["path"], folder)
    server = os.path.join(folder, "bin", "llama-server")
    with open(server, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\necho 'libmissing.so.1: cannot open shared object file' >&2\nexit 127\n")
    facts = {"sha256": sha256_of(server), "size": os.stat(server).st_size}
    manifest["files"] = {**manifest["files"], "bin/llama-server": facts}
    write_json(os.path.join(folder, "manifest.json"), manifest)
    packed = artifact.pack(tree, builds.find(tree, manifest["id"]))
    result = build(source={"type": "artifact", "path": packed.path, "checksum": packed.sha256})
    assert result["failed"]
    assert "libmissing" in result["msg"] + result.get("log", "")
    assert (active(root), names(root / "builds")) == (good, [good])


def test_a_refused_build_is_received_and_never_active(made, upstream, root, build):
    """Its id is known only from the artifact here."""
    other = upstream.commit("good again")
    good = build(source=upstream.source(other))["build_id"]
    for received in (True, False):
        result = build(source=source(made["artifact"]), refused=[made["build_id"]])
        assert (result["failed"], result["received"], result["active"]) == (False, received, good), result
    assert active(root) == good
    assert build(source=source(made["artifact"]))["active"] == made["build_id"]


@pytest.mark.parametrize(
    "given",
    [
        {"type": "artifact", "path": "/x"},
        {"type": "artifact", "path": "/x", "url": "https://x", "checksum": "0" * 64},
        {"type": "artifact", "path": "/x", "checksum": "0" * 64, "build": "../../etc"},
        {"type": "artifact", "path": "/x", "checksum": "0" * 64, "ref": "v1"},
    ],
)
def test_what_cannot_be_meant(build, given):
    assert build(source=given)["failed"]
