# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a worker to its unit and its steps, on a made-up host with a real build folder."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, LlamaOpsError
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import besideunit, placement, unit
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import launch as instance_launch
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.cmdline import Command
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.definition import Instance
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.room import Room
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.service import Status
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.systemd import Systemd
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.worker import definition, deploy, known, launch

BUILD = "0.5.0-a832db0-cuda-046a64ed"
GPU = {"id": "GPU-1", "backend": "cuda", "name": "H100", "vendor": "nvidia", "total": 80 << 30, "free": 80 << 30}


class Units(Systemd):
    """Units in a folder of the test."""

    def __init__(self, tree, folder):
        super().__init__(tree)
        self.folder = str(folder)


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "root" / "builds" / BUILD
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "ggml-rpc-server").touch()
    manifest = {"schema": 1, "files": {}, "recipe": {"backend": "cuda", "commit": "c" * 40}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "root" / "current").symlink_to(f"builds/{BUILD}")
    (tmp_path / "units").mkdir()
    return Tree(str(tmp_path / "root"), "system")


@pytest.fixture
def manager(tree, tmp_path):
    return Units(tree, tmp_path / "units")


def worker(**more):
    entry = {"name": "w0", "client": "10.20.0.1", **more}
    return definition.read_all([entry], "10.20.0.2", "10.20.0.0/24")[0]


def resolved(tree, manager, **more):
    room = Room(manager, [], lambda: {"devices": [GPU]})
    return launch.resolve(tree, worker(**more), room, manager.folder)


def test_the_unit_binds_to_one_address_and_talks_to_one_head(tree, manager):
    text = unit.render(resolved(tree, manager, cache_quota="1GiB", devices=["GPU-1"], threads=2), "system")
    words = text.replace("\\\n ", "")
    assert "ggml-rpc-server --host 10.20.0.2 --port 50052 --device CUDA0 --threads 2 --cache\n" in " ".join(
        words.split(" ")
    ).replace("  ", " ")
    fence = [line for line in text.splitlines() if line.startswith("IPAddress")]
    assert fence == ["IPAddressDeny=any", "IPAddressAllow=10.20.0.1"]
    for line in (
        *(
            "StartLimitIntervalSec=0",
            "DynamicUser=yes",
            "Restart=always",
            "DeviceAllow=char-nvidia* rw",
            "CacheDirectory=llama/rpc@w0",
        ),
        *("Environment=CUDA_VISIBLE_DEVICES=GPU-1", "Wants=llama-gpu-ready.service"),
    ):
        assert f"\n{line}\n" in text, line
    assert "ExecStartPost=+" in text and "keep --pid $MAINPID --wait 60" in text
    facts = unit.facts_of(text)
    assert (facts["Worker"], facts["Commit"], facts["Device"]) == ("w0", "c" * 40, "GPU-1")


def test_one_without_a_device_lends_the_processor_and_sees_no_gpu(tree, manager):
    text = unit.render(resolved(tree, manager), "system")
    assert "--device CPU\n" in text and "PrivateDevices=yes" in text
    assert "CacheDirectory" not in text and not launch.beside(resolved(tree, manager), "/units", 0)


def test_its_cache_is_cleaned_by_a_timer(tree, manager):
    files = launch.beside(resolved(tree, manager, cache_quota="1GiB"), "/units", 1 << 30)
    service = files["/units/llama-watchdog@rpc@w0.service"]
    assert "clean /var/cache/llama/rpc@w0/rpc 1073741824\n" in " ".join(service.replace("\\\n", "").split(" ")).replace(
        "   ", " "
    )
    assert "OnUnitInactiveSec=300" in files["/units/llama-watchdog@rpc@w0.timer"]


def test_a_head_waits_for_its_workers_and_may_reach_them(tree):
    worker_of = [{"host": "a", "worker": "w0", "address": "10.20.0.2:50052"}]
    head = Instance(name="big", model="m", port=8080, rpc=placement.workers("x", worker_of))
    made = unit.Launch(head, Command({}, ("/b/llama-server",)), {"Instance": "big"}, ("/m",), "/l/llama-probe", 90)
    text = unit.render(made, "system")
    assert "ExecStartPre=/l/llama-rpc-link await --wait 120 10.20.0.2:50052\n" in text
    assert "ExecStartPost=+/l/llama-rpc-link keep --pid $MAINPID\n" in text and "TimeoutStartSec=130" in text
    fence = [line for line in text.splitlines() if line.startswith("IPAddress")]
    assert fence == ["IPAddressDeny=any", "IPAddressAllow=localhost", "IPAddressAllow=10.20.0.2"]
    watch = besideunit.watchdog(made, "system")
    assert "ExecStart=/l/llama-rpc-link look llama-big.service 10.20.0.2:50052\n" in watch
    plain = unit.render(replace(made, instance=replace(head, rpc=())), "system")
    assert "rpc-link" not in plain and "IPAddressAllow=10" not in plain


def stepped(tree, manager, status, before=None, **more):
    made = resolved(tree, manager, **more)
    after = unit.render(made, "system")
    step = deploy.Step(worker(**more), status=status, before=before or after, after=after, launch=made)
    return deploy.decide(step)


RUNS = Status(True, 7, enabled=True)


def test_steps_follow_from_what_changed(tree, manager):
    assert stepped(tree, manager, RUNS).actions == ()
    old = unit.render(resolved(tree, manager), "system")
    assert stepped(tree, manager, RUNS, old.replace("UMask=0077", "UMask=0027")).actions == ("write",)
    for change in ("--port 50052", "10.20.0.1"):  # another command, another head
        assert stepped(tree, manager, RUNS, old.replace(change, "x")).actions == ("write", "restart")
    assert stepped(tree, manager, Status(False)).actions == ("start",)
    assert stepped(tree, manager, RUNS, state="stopped").actions == ("stop", "disable")
    idle = stepped(tree, manager, RUNS, client="")
    assert idle.actions[0] == "stop" and "no instance names it" in idle.warning


def test_what_is_lent_is_no_room_for_instances_and_no_other_worker_gets_it(tree, manager, tmp_path):
    text = unit.render(resolved(tree, manager, devices=["GPU-1"]), "system")
    (tmp_path / "units" / "llama-rpc@w0.service").write_text(text)
    assert list(known.standing(manager.folder)) == ["w0"] and manager.managed() == []
    left = Room(manager, [], lambda: {"devices": [GPU]}).left([GPU])
    assert left.free["GPU-1"] == 0 and "w0 lends it" in left.taken["GPU-1"]
    resolved(tree, manager, devices=["GPU-1"])  # itself, again
    with pytest.raises(InvalidInput, match="planned for worker w0"):
        resolved(tree, manager, name="w1", devices=["GPU-1"])
    assert deploy.orphans(manager, [worker(name="w1")]) == ["w0"]


def test_a_build_without_workers_is_refused_with_what_it_has(tree, manager, tmp_path):
    (tmp_path / "root" / "builds" / BUILD / "bin" / "ggml-rpc-server").unlink()
    with pytest.raises(InvalidInput, match="has no ggml-rpc-server"):
        resolved(tree, manager)


@pytest.mark.parametrize(("commit", "refused"), [("c" * 40, False), ("d" * 40, True), ("", False)])
def test_a_worker_of_another_source_is_refused_and_both_are_named(tree, manager, commit, refused):
    rpc = [{"host": "a", "worker": "w0", "address": "10.20.0.2:50052", "build": "other", "commit": commit}]
    head = Instance(name="big", model="/m", port=8080, rpc=placement.workers("x", rpc))
    with pytest.raises(LlamaOpsError) as caught:  # the model is missing in any case, and looked for later
        instance_launch.look(tree, manager, head)
    said = str(caught.value)
    assert ("source " + commit in said and BUILD in said and "'w0' on a" in said) == refused
