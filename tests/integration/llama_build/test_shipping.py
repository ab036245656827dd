# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One compile for many hosts: three roots of this machine stand for three hosts of one kind."""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_runs import LOCAL, Run, ansible
from building_runs import run_build
from fixtures.upstream import active, names

HOSTS = ("a", "b", "c")


class Fleet:
    """Hosts, each with a root of its own, and the controller's cache."""

    def __init__(self, folder: Path, upstream) -> None:
        self.folder, self.upstream = folder, upstream
        self.cache = folder / "cache"
        hosts = {name: {**LOCAL, "llama_root": str(self.root(name)), "llama_scope": "user"} for name in HOSTS}
        self.inventory = folder / "inventory.json"
        self.inventory.write_text(json.dumps({"all": {"hosts": hosts}}))

    def root(self, name: str) -> Path:
        return self.folder / name / "root"

    def run(self, hosts: str = "all", check: bool = False, **variables) -> Run:
        folder = self.folder / f"run-{time.monotonic_ns()}"
        folder.mkdir()
        begun = {"ansible.builtin.file": {"path": f"{folder}/begun", "state": "touch"}, "changed_when": False}
        play = {
            "hosts": hosts,
            "gather_facts": False,
            "pre_tasks": [begun],
            "roles": ["llamaops.llama_cpp.llama_build"],
        }
        (folder / "playbook.yml").write_text(json.dumps([play]))
        given = {
            "llama_build_backend": "cpu",
            "llama_build_source": self.upstream.source("latest"),
            "llama_build_cache": str(self.cache),
            "llama_progress_every": 1,
            **variables,
        }
        argv = ["ansible-playbook", "-i", str(self.inventory), str(folder / "playbook.yml")]
        return ansible(folder, argv, given, check, False, {"ANSIBLE_PIPELINING": "1"})

    def active(self) -> list[str | None]:
        return [active(self.root(name)) for name in HOSTS]

    def artifacts(self) -> list[str]:
        return [name for name in names(self.cache) if name.endswith(".tar.gz")]


@pytest.fixture
def fleet(tmp_path, upstream):
    upstream.commit(tag="v1.0.0")
    return Fleet(tmp_path, upstream)


def results(run):
    """What the module said, by host."""
    return {
        entry["host"]: entry["result"]
        for entry in run.tasks
        if entry["task"].endswith("Build llama.cpp") and "compiled" in entry["result"]
    }


def test_one_compile_for_three_hosts(fleet):
    preview = fleet.run(check=True)
    assert (preview.rc, preview.changed) == (0, 3), preview.output
    assert not fleet.root("a").exists()

    first = fleet.run()
    assert first.rc == 0, first.output
    said = results(first)
    assert [said[name]["compiled"] for name in HOSTS] == [True, False, False]
    assert [said[name]["received"] for name in HOSTS] == [False, True, True]
    build_id = said["a"]["build_id"]
    assert fleet.active() == [build_id] * 3
    assert fleet.artifacts() == [f"{build_id}.tar.gz"]
    assert not list(fleet.root("a").glob("artifacts/*")), "the builder keeps no copy"
    assert not (fleet.root("b") / "work" / "build").exists()

    moved = fleet.upstream.commit("good again", tag="v1.0.1")
    shutil.rmtree(fleet.root("c"))  # a new host, too
    second = fleet.run()
    assert [results(second)[name]["compiled"] for name in HOSTS] == [True, False, False], second.output
    assert fleet.active() == [results(second)["a"]["build_id"]] * 3
    assert moved[:7] in fleet.active()[0]
    assert names(fleet.root("b") / "builds") == sorted([build_id, fleet.active()[1]])


def test_without_the_builder_in_the_play(fleet):
    alone = fleet.run("b", llama_build_builder="a")
    assert alone.rc != 0
    assert "gets its build from a" in alone.messages and "--limit a" in alone.messages
    assert fleet.active() == [None] * 3


def test_whatever_fails_no_host_loses_its_build(fleet):
    release = {"llama_build_source": fleet.upstream.source("v1.0.0"), "llama_build_builder": "a"}
    assert fleet.run("a,b", **release).rc == 0
    good = fleet.active()[0]
    fleet.upstream.commit("dies")
    failed = fleet.run("a,b", llama_build_source=fleet.upstream.source("master"))
    assert failed.rc != 0
    assert failed.stats["a"]["failures"] == failed.stats["b"]["failures"] == 1
    assert "gets its build from a, which failed in this play" in failed.messages
    assert fleet.active() == [good, good, None]

    fleet.upstream.folder.rename(fleet.folder / "gone")  # no network: what is there is enough
    (fleet.cache / f"{good}.tar.gz").write_bytes(b"damaged")  # never taken, and packed again without a compile
    alone = fleet.run("c", **release)
    assert alone.rc != 0 and "was damaged in the controller's cache" in alone.messages, alone.output
    served = fleet.run(**release)
    assert (served.rc, served.changed) == (0, 1), served.output
    assert [results(served)[name]["received"] for name in HOSTS] == [False, False, True]
    assert [results(served)[name]["compiled"] for name in HOSTS] == [False, False, False]
    assert fleet.active() == [good] * 3
    moving = fleet.run("a,c")  # what `latest` means now, only the repository tells
    assert moving.rc != 0 and str(fleet.upstream.folder) in moving.messages, moving.output
    assert "gets its build from a, which failed in this play" in moving.messages
    assert fleet.active() == [good] * 3


def test_a_refused_build_is_made_for_nobody(fleet, tmp_path):
    assert fleet.run("a,b").rc == 0
    good = fleet.active()[0]
    fleet.upstream.commit("good again", tag="v1.0.1")
    wanted = fleet.upstream.source("latest")
    left = run_build(tmp_path, root=str(tmp_path / "elsewhere"), source=wanted, cpu="portable")["build_id"]
    run = fleet.run(llama_build_refused=[left])
    assert run.rc == 0 and f"The build {left} is refused; {good} stays active." in " ".join(run.output.split())
    assert [results(run)[name]["changed"] for name in HOSTS] == [False, False, True], run.output
    assert fleet.active() == [good] * 3, "a new host gets what its builder has"


def test_two_plays_at_once_compile_once(fleet, tmp_path):
    flag = tmp_path / "flag"
    fleet.upstream.commit(f"slow {flag}", tag="v1.0.1")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(fleet.run, "a")
        while not Path(f"{flag}.started").exists():
            assert not first.done(), first.result().output
        second = pool.submit(fleet.run, "b")
        while len(list(tmp_path.glob("run-*/begun"))) < 2:
            time.sleep(0.1)
        time.sleep(3)
        flag.touch()
        assert first.result().rc == 0, first.result().output
        assert second.result().rc == 0, second.result().output
    assert "waits for another play that builds the same" in second.result().output
    assert [results(first.result())["a"]["compiled"], results(second.result())["b"]["compiled"]] == [True, False]
    assert fleet.active()[0] == fleet.active()[1]
