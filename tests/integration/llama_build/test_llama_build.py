# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module and the role llama_build: the real llama.cpp of the shared root, and the life of builds."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess

import pytest
from ansible_runs import LOCAL, REPOSITORY, copy_tree, make_root
from fixtures.upstream import active, names

ROLLBACK = REPOSITORY / "playbooks" / "rollback.yml"

TOOLS = ["ggml-rpc-server", "llama-bench", "llama-fit-params", "llama-gguf-split", "llama-quantize", "llama-server"]


def test_the_real_build_is_complete_and_proven(built_root, ansible_module):
    args = {"root": str(built_root), "scope": "user", "source": {"type": "sdist"}, "keep": 1}
    found = ansible_module("llama_build", args)
    assert not found["changed"]
    assert found["path"] == str((built_root / "current").resolve())
    assert sorted(found["binaries"]) == TOOLS
    assert found["manifest"]["smoke"]["answer"] == "Hello from llama.cpp: this build computes correctly."
    assert found["manifest"]["recipe"]["cmake"]["GGML_RPC"] == "ON"
    capabilities = json.loads((built_root / "current" / "capabilities.json").read_text())
    assert capabilities["commit"] == "a832db0"
    assert len(capabilities["options"]) > 200
    for name in TOOLS:
        link = built_root / "bin" / name
        assert os.readlink(link) == f"../current/bin/{name}"
        done = subprocess.run([link, "--help"], capture_output=True, check=False, cwd="/", env={"PATH": "/usr/bin"})
        assert done.returncode in (0, 1), (name, done.stderr)


def test_binaries_need_nothing_but_the_system(built_root):
    for name in TOOLS:
        said = subprocess.run(["ldd", built_root / "bin" / name], capture_output=True, text=True, check=True).stdout
        assert "not found" not in said
        assert str(built_root) not in said


def test_rollback_takes_only_a_whole_build(fresh_root, ansible_module):
    build_id = os.path.basename(os.readlink(fresh_root / "current"))
    bench = fresh_root / "builds" / build_id / "bin" / "llama-bench"
    data = bytearray(bench.read_bytes())
    data[-1] ^= 1
    bench.unlink()  # a hard link of the shared root
    bench.write_bytes(data)
    (fresh_root / "current").unlink()
    result = ansible_module("llama_build", {"root": str(fresh_root), "scope": "user", "active": build_id})
    assert result["failed"]
    assert "bin/llama-bench" in result["msg"]
    assert not (fresh_root / "current").exists()


def test_rollback_takes_only_a_build_whose_libraries_are_there(fresh_root, ansible_module):
    folder = (fresh_root / "current").resolve()
    bench, manifest = folder / "bin" / "llama-bench", folder / "manifest.json"
    data, said = bench.read_bytes().replace(b"libgomp.so.1\0", b"libgone.so.1\0"), json.loads(manifest.read_text())
    said["files"]["bin/llama-bench"]["sha256"] = hashlib.sha256(data).hexdigest()
    for path, content in ((bench, data), (manifest, json.dumps(said).encode())):
        path.unlink()  # a hard link of the shared root
        path.write_bytes(content)
    (fresh_root / "current").unlink()
    result = ansible_module("llama_build", {"root": str(fresh_root), "scope": "user", "active": folder.name})
    assert result["failed"] and "libgone.so.1 (for llama-bench)" in result["msg"], result
    assert not (fresh_root / "current").exists()


def test_preview_on_an_empty_host(tmp_path, ansible_module):
    args = {"root": str(tmp_path / "root"), "scope": "user", "source": {"type": "sdist"}, "backend": "cpu"}
    result = ansible_module("llama_build", args, check=True, diff=True)
    assert result["changed"]
    assert result["compiled"]
    assert result["build_id"].startswith("0.5.0-a832db0-cpu-")
    assert result["diff"]["before"] == {"active": None, "previous": None, "builds": []}
    assert result["diff"]["after"]["active"] == result["build_id"]
    assert not (tmp_path / "root").exists()


def test_the_life_of_builds(upstream, root, build):
    one = upstream.commit(tag="v1.0.0")
    first = build(source=upstream.source("latest"))
    assert first["changed"], first
    assert first["manifest"]["recipe"]["commit"] == one
    assert first["manifest"]["build_number"] == 1
    assert first["build_id"].startswith(f"9.8.7-{one[:7]}-cpu-")
    assert active(root) == first["build_id"]
    assert not build(source=upstream.source("latest"))["changed"]

    two = upstream.commit(tag="v1.0.1")  # latest moves
    preview = build(check=True, source=upstream.source("latest"))
    assert preview["compiled"]
    assert active(root) == first["build_id"]
    second = build(source=upstream.source("latest"))
    assert second["manifest"]["recipe"]["commit"] == two
    assert (second["active"], second["previous"]) == (second["build_id"], first["build_id"])
    assert (root / "bin" / "llama-server").resolve() == root / "builds" / second["build_id"] / "bin" / "llama-server"

    back = build(active=first["build_id"])
    assert (back["changed"], back["active"], back["compiled"]) == (True, first["build_id"], False)
    assert not build(active=first["build_id"])["changed"]
    assert build(source=upstream.source("v1.0.1"))["active"] == second["build_id"]

    upstream.folder.rename(upstream.folder.with_name("gone"))  # tags and commits that are built need no repository
    assert not build(source=upstream.source("v1.0.1"))["changed"]
    assert not build(source=upstream.source(two))["changed"]
    assert not build(source=upstream.source(two[:9]))["changed"]
    assert "cannot be used" in build(source=upstream.source("master"))["msg"]
    upstream.folder.with_name("gone").rename(upstream.folder)

    upstream.commit("good again")
    third = build(source=upstream.source("master"), keep=1)
    assert third["removed"] == [first["build_id"]]
    assert names(root / "builds") == sorted([second["build_id"], third["build_id"]])
    gone = build(state="absent", build=second["build_id"])
    assert gone["removed"] == [second["build_id"]]
    assert "is active" in build(state="absent", build=third["build_id"])["msg"]
    again = build(source=upstream.source("master"), force=True)
    assert (again["compiled"], again["active"]) == (True, third["build_id"])
    assert names(root / "builds") == [third["build_id"]]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"ref": "v1.0"}, "v1.0.0"),
        ({"ref": "mastr"}, "master"),
        ({"ref": "../../etc"}, "cannot be a git reference"),
        ({"ref": "--upload-pack=touch x"}, "cannot be a git reference"),
        ({"ref": "v1\nv2"}, "cannot be a git reference"),
        ({"ref": "v1.0.0", "commit": "1" * 40}, "source.commit asks for 1111"),
        ({"ref": "1" * 40}, "has no commit 1111"),
        ({"ref": "1234567"}, "no tag, branch or commit '1234567'"),
        ({"url": "ext::sh -c id"}, "no address"),
    ],
)
def test_bad_references(upstream, root, build, source, said):
    upstream.commit(tag="v1.0.0")
    result = build(source={**upstream.source(), **source})
    assert result["failed"]
    assert said in result["msg"]
    assert active(root) is None


def test_a_short_commit_that_no_tag_names(upstream, root, build):
    old = upstream.commit()
    upstream.commit("good too")
    assert build(check=True, source=upstream.source(old[:8]))["build_id"] is None
    result = build(source=upstream.source(old[:8]))
    assert result["manifest"]["recipe"]["commit"] == old, result
    assert not build(source=upstream.source(old[:8]))["changed"]


def test_the_role(upstream, root, build, play):
    upstream.commit(tag="v1.0.0")
    variables = {
        "llama_scope": "user",
        "llama_root": str(root),
        "llama_build_backend": "cpu",
        "llama_build_source": {"url": str(upstream.folder)},
    }
    plays = [{"hosts": "localhost", "gather_facts": False, "roles": ["llamaops.llama_cpp.llama_build"]}]
    preview = play(plays, variables, check=True)
    assert (preview.rc, preview.changed) == (0, 1), preview.output
    assert not root.exists()
    first = play(plays, variables)
    assert (first.rc, first.changed) == (0, 1), first.output
    assert play(plays, variables).changed == 0
    upstream.commit("good again", tag="v1.0.1")
    assert build(source=upstream.source("latest"))["changed"]
    back = first.result("Build llama.cpp")["build_id"]
    assert active(root) != back
    assert play(plays, {**variables, "llama_build_active": back}).changed == 1
    assert active(root) == back


def test_a_rollback_to_a_build_that_one_host_lacks_switches_none(built_root, tmp_path, play):
    roots = {name: make_root(tmp_path / name, built_root) for name in ("one", "two")}
    first = (roots["one"] / "current").resolve()
    second = first.with_name(f"{first.name[:-8]}00000000")
    copy_tree(first, second)
    run = play(
        ROLLBACK,
        {"llama_scope": "user", "llama_rollback_to": second.name},
        inventory=inventory_of(tmp_path, roots),
    )
    assert run.rc != 0 and second.name in run.messages, run.output
    assert (roots["one"] / "current").resolve() == first
    copy_tree((roots["two"] / "current").resolve(), roots["two"] / "builds" / second.name)
    run = play(
        ROLLBACK,
        {"llama_scope": "user", "llama_rollback_to": second.name},
        inventory=inventory_of(tmp_path, roots),
    )
    assert run.rc == 0, run.output
    assert {(root / "current").resolve().name for root in roots.values()} == {second.name}


def inventory_of(folder, roots):
    """Two hosts that are this machine, each with a root of its own."""
    hosts = {name: {"llama_root": str(root), **LOCAL} for name, root in roots.items()}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    return folder / "hosts.json"
