# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module llama_build: the real llama.cpp of the shared root, and what can go wrong around a build.

Failures need source trees that fail; `tests/fixtures/fake_llama` has the shape of llama.cpp and fails as it is told.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_runs import LOCAL, ansible

FAKE = Path(__file__).resolve().parents[1] / "fixtures" / "fake_llama"
TOOLS = ["ggml-rpc-server", "llama-bench", "llama-fit-params", "llama-gguf-split", "llama-quantize", "llama-server"]
Run = Callable[..., dict[str, Any]]


# ---- the real build


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


def test_preview_on_an_empty_host(tmp_path, ansible_module):
    args = {"root": str(tmp_path / "root"), "scope": "user", "source": {"type": "sdist"}, "backend": "cpu"}
    result = ansible_module("llama_build", args, check=True, diff=True)
    assert result["changed"]
    assert result["compiled"]
    assert result["build_id"].startswith("0.5.0-a832db0-cpu-")
    assert result["diff"]["before"] == {"active": None, "previous": None, "builds": []}
    assert result["diff"]["after"]["active"] == result["build_id"]
    assert not (tmp_path / "root").exists()


# ---- git, versions, rollback, pruning: by trees that compile in a moment


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=master"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


class Upstream:
    """A git repository of the fake tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(FAKE, folder)
        git(folder, "init", "-q")

    def commit(self, behaviour: str = "good", tag: str | None = None) -> str:
        (self.folder / "behaviour").write_text(behaviour + "\n")
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "--allow-empty", "-m", behaviour)
        if tag:
            git(self.folder, "tag", tag)
        return git(self.folder, "rev-parse", "HEAD")

    def source(self, ref: str = "master", **more: str) -> dict[str, str]:
        return {"type": "git", "url": str(self.folder), "ref": ref, **more}


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def build(root: Path, tmp_path: Path) -> Run:
    """`build(source=..., ...)`: the module on a root of the test's own; several may run at once."""

    def call(check: bool = False, **args: Any) -> dict[str, Any]:
        folder = tmp_path / f"run-{threading.get_ident()}"
        given = json.dumps({"root": str(root), "scope": "user", "backend": "cpu", **args})
        argv = ["ansible", "localhost", "-m", "llamaops.llama_cpp.llama_build", "-a", given]
        done = ansible(folder, argv, LOCAL, check, False, {})
        assert done.tasks, done.output
        return {**done.tasks[-1]["result"], "failed": done.tasks[-1]["status"] == "failed"}

    return call


def active(root: Path) -> str | None:
    link = root / "current"
    return os.path.basename(os.readlink(link)) if link.is_symlink() else None


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


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


# ---- what fails leaves what was active


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("does not configure", "this tree cannot be configured"),
        ("does not compile", "undeclared_thing"),
        ("dies", "did not start"),
        ("computes wrongly", "Hello from a broken kernel."),
    ],
)
def test_a_bad_build_is_never_active(upstream, root, build, behaviour, said):
    upstream.commit()
    good = build(source=upstream.source())["build_id"]
    upstream.commit(behaviour)
    result = build(source=upstream.source())
    assert result["failed"]
    assert said in result["msg"]
    assert active(root) == good
    assert names(root / "builds") == [good]
    assert not build(source=upstream.source(), active=good)["changed"]


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_fills_up_while_building(upstream, root, build, tmp_path):
    upstream.commit()
    with small_disk(root, "1600m"):
        good = build(source=upstream.source())["build_id"]
        upstream.commit("full")
        result = build(source=upstream.source())
        assert result["failed"]
        assert "No space left on device" in result["msg"]
        assert active(root) == good
        assert names(root / "builds") == [good]
        upstream.commit("good")
        result = build(source=upstream.source())  # too little is left: said before anything starts
        assert "of free disk space" in result["msg"]
        shutil.rmtree(root / "work" / "build")
        assert build(source=upstream.source())["changed"]


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.05)


def test_killed_while_compiling_the_next_run_goes_on(upstream, root, build, tmp_path):
    upstream.commit()
    good = build(source=upstream.source())["build_id"]
    flag = tmp_path / "flag"
    upstream.commit(f"slow {flag}")
    run = threading.Thread(target=lambda: build(source=upstream.source()))
    run.start()
    wait_for(Path(f"{flag}.started"))
    os.kill(json.loads((root / ".lock").read_text())["pid"], signal.SIGKILL)
    run.join()
    assert active(root) == good
    refused = build(source=upstream.source(), lock_timeout=0)
    assert "a compiler or another child of it still runs" in refused["msg"]
    flag.touch()
    result = build(source=upstream.source(), lock_timeout=30)
    assert result["changed"], result
    assert active(root) == result["build_id"] != good
    assert names(root / "builds") == sorted([good, result["build_id"]])


def test_two_runs_at_once(upstream, root, build, tmp_path):
    flag = tmp_path / "flag"
    upstream.commit(f"slow {flag}")
    results: list[dict[str, Any]] = []
    first = threading.Thread(target=lambda: results.append(build(source=upstream.source())))
    first.start()
    wait_for(Path(f"{flag}.started"))
    refused = build(source=upstream.source(), lock_timeout=0)
    assert refused["failed"]
    assert "is locked by process" in refused["msg"]
    assert "llama_build" in refused["msg"]
    second = threading.Thread(target=lambda: results.append(build(source=upstream.source(), lock_timeout=60)))
    second.start()
    time.sleep(1)
    flag.touch()
    first.join()
    second.join()
    assert [result["failed"] for result in results] == [False, False]
    assert sorted(result["compiled"] for result in results) == [False, True]  # the second found it done
    assert names(root / "builds") == [results[0]["build_id"]]


def test_what_is_missing_is_named_at_once(root, play):
    task = {
        "name": "build",
        "llamaops.llama_cpp.llama_build": {"root": str(root), "scope": "user", "backend": "cpu"},
        "environment": {"PATH": "/nonexistent"},
    }
    plays = [{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]
    run = play(plays)
    assert run.rc != 0
    for word in ("git", "cmake", "ninja", "g++", "gcc-c++", "apt-get install", "dnf install"):
        assert word in run.messages
    assert not root.exists()
    preview = play(plays, check=True)
    assert preview.rc == 0
    assert preview.changed == 1
    assert "cmake" in str(preview.result("build")["warnings"])


def test_the_role(upstream, root, play):
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
    assert play(plays, variables).changed == 1
    back = first.result("Build llama.cpp")["build_id"]
    assert active(root) != back
    assert play(plays, {**variables, "llama_build_active": back}).changed == 1
    assert active(root) == back
