# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import files
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import builds
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, Untrusted
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree
from hypothesis import given
from hypothesis import strategies as st

ONE, TWO, THREE, FOUR = [f"0.5.{n}-abcdef{n}-cpu-0000000{n}" for n in (1, 2, 3, 4)]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch) -> Tree:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    root = tmp_path / "root"
    for folder in ("builds", "bin", "instances"):
        (root / folder).mkdir(parents=True)
    return Tree(str(root), "user")


def make(tree: Tree, build_id: str, tools=("llama-server", "llama-bench"), created: str | None = None) -> builds.Build:
    """A build as a finished run leaves it."""
    staging = Path(tree.builds) / f".staging-{build_id}-1"
    (staging / "bin").mkdir(parents=True)
    facts = {}
    for tool in tools:
        path = staging / "bin" / tool
        path.write_text(f"{build_id} {tool}")
        facts[f"bin/{tool}"] = {"sha256": files.sha256_of(str(path)), "size": path.stat().st_size}
    manifest = {
        "schema": 1,
        "id": build_id,
        "created": created or build_id,
        "files": facts,
        "recipe": {},
        "version": "0.5",
    }
    (staging / "manifest.json").write_text(json.dumps(manifest))
    (staging / "capabilities.json").write_text('{"schema": 1}')
    return builds.place(tree, str(staging), build_id)


def test_listing_is_newest_first_and_sees_complete_builds_only(tree):
    make(tree, ONE, created="2026-01-02")
    make(tree, TWO, created="2026-01-03")
    make(tree, THREE, created="2026-01-01")
    (Path(tree.builds) / FOUR).mkdir()  # no manifest
    (Path(tree.builds) / "0.5.9-abcdef9-cpu-00000009").mkdir()
    (Path(tree.builds) / ".staging-x-1").mkdir()
    assert [build.id for build in builds.list_builds(tree)] == [TWO, ONE, THREE]
    assert builds.list_builds(Tree("/nowhere", "user")) == []


def test_find_names_what_there_is(tree):
    with pytest.raises(InvalidInput, match="There is no build yet"):
        builds.find(tree, ONE)
    make(tree, ONE)
    assert builds.find(tree, ONE).tool("llama-server") == f"{tree.root}/builds/{ONE}/bin/llama-server"
    assert builds.find(tree, ONE).capabilities() == {"schema": 1}
    with pytest.raises(InvalidInput, match=f"There are: {ONE}"):
        builds.find(tree, TWO)
    with pytest.raises(InvalidInput, match="It has: llama-bench, llama-server"):
        builds.find(tree, ONE).tool("llama-fit-params")


def test_activation_moves_current_previous_and_the_links(tree):
    one, two = make(tree, ONE, ["llama-server", "rpc-server"]), make(tree, TWO)
    assert builds.activate(tree, one)
    assert os.readlink(tree.current) == f"builds/{ONE}"
    assert builds.previous(tree) is None
    assert builds.is_active(tree, one)
    assert not builds.activate(tree, one)
    (Path(tree.bin) / "mine").symlink_to("/bin/true")
    assert builds.activate(tree, two)
    assert builds.active(tree).id == TWO
    assert builds.previous(tree).id == ONE
    assert not builds.is_active(tree, one)
    assert sorted(path.name for path in Path(tree.bin).iterdir()) == ["llama-bench", "llama-server", "mine"]
    assert (Path(tree.bin) / "llama-server").read_text() == f"{TWO} llama-server"
    builds.activate(tree, two)
    assert builds.previous(tree).id == ONE


def test_a_lost_link_makes_it_not_active(tree):
    one = make(tree, ONE)
    builds.activate(tree, one)
    os.unlink(os.path.join(tree.bin, "llama-bench"))
    assert not builds.is_active(tree, one)
    assert builds.activate(tree, one)


@pytest.mark.parametrize(
    "target", ["builds/../../elsewhere", "/etc", "builds", "nowhere", f"builds/{TWO}", f"elsewhere/{ONE}"]
)
def test_a_strange_current_is_no_active_build(tree, target):
    make(tree, ONE)
    os.symlink(target, tree.current)
    assert builds.active(tree) is None


def test_a_damaged_build_is_noticed(tree):
    one = make(tree, ONE)
    assert one.whole()
    one.verify()
    path = Path(one.folder) / "bin" / "llama-bench"
    path.write_text(path.read_text().replace("llama", "LLAMA"))
    assert one.whole()  # same size: only the hash tells
    with pytest.raises(Untrusted, match="bin/llama-bench"):
        one.verify()
    path.write_text("")
    assert not one.whole()
    path.unlink()
    assert not one.whole()
    with pytest.raises(Untrusted, match="bin/llama-bench"):
        one.verify()
    os.unlink(os.path.join(one.folder, "capabilities.json"))
    with pytest.raises(Untrusted, match="capabilities"):
        one.capabilities()


def test_who_uses_a_build(tree, tmp_path):
    for build_id in (ONE, TWO, THREE, FOUR):
        make(tree, build_id)
    units = tmp_path / "home" / ".config" / "systemd" / "user"
    supervised = Path(tree.root) / "supervisor" / "conf.d"
    instance = Path(tree.instances) / "chat"
    for folder in (units, supervised, instance):
        folder.mkdir(parents=True)
    (units / "llama-chat.service").write_text(f"ExecStart={tree.root}/builds/{ONE}/bin/llama-server --port 1\n")
    (units / "other.service").write_text(f"ExecStart={tree.root}/builds/{FOUR}/bin/llama-server\n")
    (supervised / "llama-x.conf").write_text(f"command=env X=1 {tree.root}/builds/{TWO}/bin/llama-server\n")
    (instance / "instance.json").write_text(json.dumps({"argv": [f"{tree.root}/builds/{THREE}/bin/llama-server"]}))
    (tmp_path / "proc").mkdir()
    used = builds.users(tree, proc=str(tmp_path / "proc"))
    assert sorted(used) == [ONE, TWO, THREE]
    assert used[ONE] == [str(units / "llama-chat.service")]
    assert builds.outdated(tree, THREE, str(tmp_path / "proc")) == sorted([*used[ONE], *used[TWO]])


def test_a_running_process_uses_its_build(tree, tmp_path):
    one = make(tree, ONE)
    make(tree, TWO)
    proc = tmp_path / "proc" / "77"
    proc.mkdir(parents=True)
    (proc / "exe").symlink_to(one.tool("llama-server"))
    (proc / "stat").write_text("77 (llama-server) S " + "0 " * 30)
    assert builds.users(tree, proc=str(tmp_path / "proc")) == {ONE: ["process 77"]}


@pytest.mark.parametrize(
    ("keep", "needed", "gone"),
    [
        (3, set(), [ONE]),
        (2, set(), [TWO, ONE]),
        (4, set(), []),
        (0, set(), [FOUR, THREE, TWO, ONE]),
        (2, {ONE}, [THREE, TWO]),
        (1, {ONE, TWO}, [FOUR, THREE]),
        (0, {ONE, TWO, THREE, FOUR}, []),
        (2, {"not there"}, [TWO, ONE]),
    ],
)
def test_superfluous(keep, needed, gone):
    assert builds.superfluous([FOUR, THREE, TWO, ONE], keep, needed) == gone


@given(st.lists(st.sampled_from("abcdefgh"), unique=True), st.integers(0, 9), st.sets(st.sampled_from("abcdefgh")))
def test_superfluous_never_takes_what_is_needed_nor_too_much(ids, keep, needed):
    gone = builds.superfluous(ids, keep, needed)
    assert not set(gone) & needed
    assert len(ids) - len(gone) >= min(keep, len(ids))


def test_removal(tree):
    one, two = make(tree, ONE), make(tree, TWO)
    builds.activate(tree, one)
    builds.activate(tree, two)
    builds.remove(tree, ONE)
    assert [build.id for build in builds.list_builds(tree)] == [TWO]
    assert sorted(os.listdir(tree.builds)) == [TWO]
    assert builds.previous(tree) is None
    assert not os.path.lexists(tree.path("previous"))


def test_what_a_killed_run_left_is_cleared(tree):
    make(tree, ONE)
    (Path(tree.builds) / f".staging-{TWO}-4711" / "bin").mkdir(parents=True)
    (Path(tree.builds) / f".staging-removed-{THREE}").mkdir()
    builds.clean(tree)
    assert os.listdir(tree.builds) == [ONE]


def test_replacing_a_build_killed_in_the_middle_brings_the_old_one_back(tree):
    one = make(tree, ONE)
    builds.activate(tree, one)
    os.rename(one.folder, os.path.join(tree.builds, f".staging-replaced-{ONE}"))
    assert builds.active(tree) is None
    builds.clean(tree)
    assert builds.active(tree).id == ONE
    make(tree, ONE, ["llama-server"])
    assert builds.active(tree).tools() == ["llama-server"]
    assert os.listdir(tree.builds) == [ONE]
