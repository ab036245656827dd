# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import buildplan, builds
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build.buildplan import Request
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build.source import Source
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build.toolchain import Toolchain
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import (
    CommandFailed,
    InvalidInput,
    MissingTool,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree

TOOLS = Toolchain(
    "/usr/bin:/bin",
    {
        "git": "/usr/bin/git",
        "cmake": "/usr/bin/cmake",
        "ninja": "/usr/bin/ninja",
        "c": "/usr/bin/cc",
        "c++": "/usr/bin/c++",
    },
    "gnu-12",
    True,
)
NOTHING = Toolchain("/usr/bin:/bin", {}, None, False)
COMMIT = "0c1e57098a7c2b1f4d3e5a6978b0c1d2e3f4a5b6"
SDIST = Request(Source("sdist"), backend="cpu")
URL = "https://127.0.0.1:9/x"  # nobody listens: whoever asks the network fails
FULL = Request(Source("git", url=URL, ref=COMMIT), backend="cpu")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch) -> Tree:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for folder in ("builds", "bin"):
        (tmp_path / "root" / folder).mkdir(parents=True)
    return Tree(str(tmp_path / "root"), "user")


def decide(tree: Tree, request: Request, tools: Toolchain = TOOLS, check: bool = False) -> buildplan.Plan:
    return buildplan.decide(tree, request, tools, check)


def made(tree: Tree, request: Request, version: str = "0.5.0", tag: str | None = None, active: bool = True) -> str:
    """The build that a request asks for, as a finished run leaves it. Returns its id."""
    plan = decide(tree, request, check=True)
    build_id = buildplan.recipe.build_id(version, plan.recipe)
    folder = Path(tree.build(build_id))
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "llama-server").write_text("x")
    manifest = {
        "schema": 1,
        "created": f"2026-01-0{len(os.listdir(tree.builds))}",
        "files": {"bin/llama-server": {"size": 1, "sha256": ""}},
        "recipe": plan.recipe,
        "source": {**plan.exact.record, "tag": tag},
        "version": version,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    if active:
        builds.activate(tree, builds.find(tree, build_id))
    return build_id


def test_an_empty_host_gets_a_full_preview(tmp_path):
    plan = decide(Tree(str(tmp_path / "none"), "user"), SDIST, check=True)
    assert (plan.compile, plan.activate, plan.remove, plan.warnings) == (True, True, (), ())
    assert plan.build_id.startswith("0.5.0-a832db0-cpu-")
    assert (plan.active, plan.previous, plan.ids) == (plan.build_id, None, (plan.build_id,))
    assert not (tmp_path / "none").exists()


def test_what_an_earlier_role_would_bring_is_a_warning_in_check_mode_and_an_error_else(tree, tmp_path):
    plan = decide(tree, SDIST, NOTHING, check=True)
    assert plan.changes
    assert plan.build_id is None
    assert "CMake" in plan.warnings[0]
    with pytest.raises(MissingTool, match="Ninja"):
        decide(tree, SDIST, NOTHING)
    latest = Request(Source("git", url=URL), backend="cpu")
    plan = decide(tree, latest, NOTHING, check=True)
    assert "git is not there yet" in plan.warnings[0]
    with pytest.raises(MissingTool, match="git "):
        decide(tree, latest, NOTHING)
    local = Request(Source("archive", path=str(tmp_path / "later.tar.gz")), backend="cpu")
    assert "later.tar.gz is not there yet" in decide(tree, local, check=True).warnings[0]
    with pytest.raises(InvalidInput, match="is not there"):
        decide(tree, local)


@pytest.mark.parametrize("request_", [SDIST, FULL], ids=["sdist", "full commit"])
def test_a_build_that_is_there_needs_nothing(tree, request_):
    build_id = made(tree, request_)
    plan = decide(tree, request_)
    assert not plan.changes
    assert plan.build_id == build_id
    assert not decide(tree, request_, replace(TOOLS, programs={"c++": "/usr/bin/c++"})).changes


@pytest.mark.parametrize(
    "change",
    [
        {"cpu": "baseline"},
        {"cmake_options": {"GGML_LTO": True}},
        {"source": Source("sdist", version="9", checksum="0" * 64)},
        {"force": True},
    ],
)
def test_another_request_is_another_build(tree, change):
    made(tree, SDIST)
    assert decide(tree, replace(SDIST, **change)).compile


def test_other_hosts_make_other_builds(tree):
    made(tree, SDIST)
    assert decide(tree, SDIST, replace(TOOLS, compiler="gnu-13")).compile
    assert decide(tree, SDIST, replace(TOOLS, openssl=False)).compile
    assert not decide(tree, SDIST, replace(TOOLS, path="/elsewhere")).compile


def test_a_spoilt_build_is_made_again(tree):
    build_id = made(tree, SDIST)
    (Path(tree.build(build_id)) / "bin" / "llama-server").write_text("")
    assert decide(tree, SDIST).compile


def test_a_lost_link_is_mended_without_compiling(tree):
    made(tree, SDIST)
    os.unlink(os.path.join(tree.bin, "llama-server"))
    plan = decide(tree, SDIST)
    assert (plan.activate, plan.compile) == (True, False)


def test_a_build_may_be_made_without_being_activated(tree):
    first = made(tree, SDIST)
    second = replace(SDIST, cpu="baseline", activate=False)
    plan = decide(tree, second)
    assert (plan.compile, plan.activate, plan.active) == (True, False, first)
    made(tree, second, active=False)
    assert not decide(tree, second).changes


def test_a_tag_that_a_build_names_needs_no_network(tree):
    tagged = Request(Source("git", url=URL, ref="v1.2.3"), backend="cpu")
    with pytest.raises(CommandFailed, match="cannot be used"):
        decide(tree, tagged)
    build_id = made(tree, replace(tagged, source=replace(tagged.source, commit=COMMIT)), tag="v1.2.3")
    plan = decide(tree, tagged)
    assert (plan.changes, plan.build_id) == (False, build_id)
    assert not decide(tree, replace(tagged, source=replace(tagged.source, ref="refs/tags/v1.2.3"))).changes
    short = replace(tagged, source=Source("git", url=URL, ref=COMMIT[:8]))
    assert not decide(tree, short).changes
    with pytest.raises(CommandFailed):  # the same tag elsewhere is another thing
        decide(tree, replace(tagged, source=replace(tagged.source, url=URL + "y")))


def test_a_branch_is_asked_for_each_time(tree, tmp_path):
    upstream = tmp_path / "upstream"
    run = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"]
    subprocess.run([*run, "init", "-q", str(upstream)], check=True)
    for text in ("one", "two"):
        subprocess.run([*run, "-C", str(upstream), "commit", "-q", "--allow-empty", "-m", text], check=True)
        wanted = Request(Source("git", url=str(upstream), ref="main"), backend="cpu")
        plan = decide(tree, wanted)
        assert plan.compile
        made(tree, wanted)
        assert not decide(tree, wanted).changes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source": Source("git", url=URL, ref="../x")}, "cannot be a git reference"),
        ({"source": Source("git", url=URL, ref="x\n")}, "cannot be a git reference"),
        ({"source": Source("git", url="ext::sh -c id")}, "no address"),
        ({"backend": "metal"}, "no backend"),
        ({"backend": "cuda"}, "Name them: architectures"),
        ({"backend": "cuda", "architectures": ["native"]}, "no CUDA architecture"),
        ({"backend": "hip", "architectures": ["90"]}, "no GPU target of ROCm"),
        ({"architectures": ["90"]}, "those of GPUs"),
        ({"cuda_runtime": "x"}, "cuda_runtime cannot be"),
        ({"blas": "x"}, "no BLAS library"),
        ({"cmake_options": {"GGML_CUDA": True}}, "another backend"),
        ({"active": "../../x"}, "no build id"),
        ({"state": "absent", "build": ""}, "no build id"),
        ({"active": "0.5.0-abcdef1-cpu-00000001"}, "has no build"),
    ],
)
def test_bad_input_is_refused_before_anything_else(tree, change, said):
    for check in (False, True):
        with pytest.raises(InvalidInput, match=said):
            decide(tree, replace(FULL, **change), check=check)


def test_old_builds_go_and_needed_ones_stay(tree, tmp_path):
    requests = [replace(SDIST, cmake_options={"GGML_LTO": True, "X": number}) for number in range(4)]
    first, second, third, fourth = [made(tree, request) for request in requests]
    plan = decide(tree, replace(requests[3], keep=2))
    assert plan.remove == (second, first)
    assert plan.ids == (fourth, third)
    assert (plan.compile, plan.activate, plan.changes) == (False, False, True)
    # making a fifth one active frees the one before the fourth
    assert decide(tree, replace(SDIST, keep=2)).remove == (third, second, first)
    units = tmp_path / "home" / ".config" / "systemd" / "user"
    units.mkdir(parents=True)
    (units / "llama-chat.service").write_text(f"ExecStart={tree.root}/builds/{first}/bin/llama-server\n")
    assert decide(tree, replace(requests[3], keep=0)).remove == (second,)


def test_rollback_and_back_again(tree):
    first = made(tree, SDIST)
    second = made(tree, replace(SDIST, cpu="baseline"))
    back = Request(Source("git"), active=first)
    plan = decide(tree, back, NOTHING)
    assert (plan.activate, plan.compile, plan.active, plan.previous) == (True, False, first, second)
    builds.activate(tree, builds.find(tree, first))
    assert not decide(tree, back, NOTHING).changes


def test_removing(tree, tmp_path):
    first = made(tree, SDIST)
    second = made(tree, replace(SDIST, cpu="baseline"))
    third = made(tree, replace(SDIST, cmake_options={"X": 1}), active=False)
    gone = decide(tree, Request(Source("git"), state="absent", build=third), NOTHING)
    assert (gone.remove, gone.active, gone.previous, gone.ids) == ((third,), second, first, (second, first))
    assert not decide(tree, Request(Source("git"), state="absent", build="0.1.0-abcdef1-cpu-00000001")).changes
    with pytest.raises(InvalidInput, match="is active"):
        decide(tree, Request(Source("git"), state="absent", build=second))
    (Path(tree.root) / "instances" / "chat").mkdir(parents=True)
    (Path(tree.root) / "instances" / "chat" / "instance.json").write_text(f'["{tree.root}/builds/{first}/bin/x"]')
    with pytest.raises(InvalidInput, match="in use by .*instance.json"):
        decide(tree, Request(Source("git"), state="absent", build=first))


def test_a_refused_build_does_not_come_back(tree):
    good = made(tree, FULL)
    newer = replace(FULL, source=replace(FULL.source, ref="d" * 40))
    left = buildplan.recipe.build_id("0.5.1", decide(tree, newer, check=True).recipe)
    plan = decide(tree, replace(newer, refused=(left,)))  # its version is not known yet, and it is known all the same
    assert (plan.build_id, plan.changes, plan.active) == (good, False, good)
    assert plan.warnings == (f"The build {left} is refused; {good} stays active.",)
    assert decide(tree, replace(newer, refused=("0.5.1-1111111-cpu-00000000",))).compile
    assert decide(tree, replace(newer, refused=(left,), activate=False)).compile, "a builder makes it for others"

    assert made(tree, newer, version="0.5.1", active=False) == left
    assert not decide(tree, replace(newer, refused=(left,))).changes
    artifact = Request(Source("artifact", build=left, checksum="0" * 64), refused=(left,))
    assert not decide(tree, artifact).changes
    assert decide(tree, replace(newer, refused=(left,), active=left)).activate, "who names it means it"


def test_a_refused_build_with_nothing_instead_is_an_error(tree):
    with pytest.raises(InvalidInput, match="no build is active"):
        left = buildplan.recipe.build_id("0.5.0", decide(tree, FULL, check=True).recipe)
        decide(tree, replace(FULL, refused=(left,)))
    made(tree, FULL)
    with pytest.raises(InvalidInput, match="it is active.*rollback"):
        decide(tree, replace(FULL, refused=(left,)))
