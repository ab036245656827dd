# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances against their plans: real servers on the host, and over two real workers on loopback as devices."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_runs import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests" / "bench" / "planner"))

from oracle import wait_for

MIB = 1 << 20


@pytest.fixture
def workers(built_root):
    """Addresses of two workers."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = [found.getsockname()[1] for found in (one, two)]
    program = str(built_root / "current" / "bin" / "ggml-rpc-server")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [subprocess.Popen([program, "-p", str(port)], **quiet) for port in ports]
    for port in ports:
        wait_for(port)
    yield [f"127.0.0.1:{port}" for port in ports]
    for process in running:
        process.kill()
        process.wait()


def over(port, addresses, **more):
    rpc = [{"host": "here", "worker": f"w{number}", "address": at} for number, at in enumerate(addresses)]
    return {"name": "chat", "model": "tiny", "port": port, "rpc": rpc, **more}


def on_host(port, **more):
    return {"name": "chat", "model": "tiny", "port": port, **more}


@pytest.fixture
def info(site, ansible_module):
    """`info()`: what llama_instance_info says of the instance."""
    common = {"root": str(site.root), "scope": "user", "manager": "supervisor"}
    return lambda: ansible_module("llama_instance_info", common)["instances"]["chat"]


def test_layers_lie_on_the_workers_that_the_plan_gave_them_to(site, port, workers, info):
    asked = over(port, workers, tensor_split=[2, 1], plan={"exact": True})
    shown = site(asked)
    assert not shown["failed"], shown["msg"]
    [hint] = shown["warnings"]  # the build, asked itself, agrees; no other warning than this
    assert "fits the memory of its own host" in hint
    chat = shown["instances"]["chat"]
    assert chat["residency"] == "verified", chat["residency_reasons"]
    assert "--device RPC0,RPC1 --gpu-layers 3 --split-mode layer --tensor-split 2,1 " in chat["command_line"]
    for row in chat["plan"]["devices"]:
        taken = chat["actual"][row["id"]]
        assert taken["weights"] > 0 and taken.get("kv_cache") == row["components"].get("kv_cache")
        assert abs(taken["weights"] - row["components"]["weights"]) < 0.01 * MIB
        assert abs(taken["compute"] - row["components"]["compute"]) < 32 * MIB
    first, second = (chat["actual"][at]["weights"] for at in workers)
    assert first != second
    again = site(asked)
    assert not again["changed"] and again["instances"]["chat"]["residency"] == "verified"
    entry = info()
    assert (entry["state"], entry["residency"], entry["share"]) == ("ready", "verified", "100% RPC")
    assert [row["id"] for row in entry["devices"]] == [*workers, "host"]
    assert all(row["actual"] > 0 for row in entry["devices"])


def test_tensors_moved_by_an_option_are_found_and_what_ran_before_runs_again(site, port, workers, info):
    assert not site(on_host(port))["failed"]
    moved = {"override_tensor": "blk\\.0\\.=CPU"}
    failed = site(over(port, workers, options=moved))
    assert failed["failed"] and failed["restored"]
    assert "elsewhere than planned" in failed["msg"] and workers[0] in failed["msg"]
    assert "--device none" in Path(info()["unit"]).read_text()
    allowed = site(over(port, workers, options=moved, plan={"allow_mismatch": True}))
    assert not allowed["failed"], allowed["msg"]
    assert allowed["instances"]["chat"]["residency"] == "mismatch"
    assert info()["residency"] == "mismatch" and "holds" in " ".join(info()["residency_reasons"])


def test_nothing_is_restarted_while_memory_moves(site, port, info):
    asked = on_host(port, ctx_size="auto")
    before = site(asked)["instances"]["chat"]
    assert before["residency"] == "verified"
    (site.root / "cache").mkdir(exist_ok=True)
    (site.root / "cache" / "driver-context.json").write_text(json.dumps({"schema": 1, "bytes": {"cpu||": 1 << 30}}))
    taker = subprocess.Popen([sys.executable, "-c", "held = bytearray(b'x') * (1 << 30); print(); input()"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    try:
        taker.stdout.readline()
        after = site(asked)
    finally:
        taker.communicate(b"\n")
    assert not after["changed"]
    assert after["instances"]["chat"]["pid"] == before["pid"]
    assert after["instances"]["chat"]["plan"] == before["plan"]


def test_a_server_that_was_started_again_shows_where_it_lies(site, port, info):
    pid = site(on_host(port))["instances"]["chat"]["pid"]
    entry = info()
    assert (entry["residency"], entry["share"]) == ("verified", "100% CPU")
    assert entry["memory"]["actual"] > entry["memory"]["planned"] > 0
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and info()["state"] != "ready":
        time.sleep(0.5)
    entry = info()
    assert entry["pid"] != pid
    assert entry["residency"] == "verified", entry
    assert entry["uptime"] < 60 and entry["endpoint"] == f"http://127.0.0.1:{port}"


def test_what_does_not_fit_is_refused_with_the_cheapest_change(site, port):
    asked = on_host(port, ctx_size=1 << 30)
    for check in (True, False):
        refused = site(asked, check=check)
        assert refused["failed"]
        assert "does not fit: it needs" in refused["msg"] and "of the host" in refused["msg"]
        assert "Cheapest change that fits: ctx_size" in refused["msg"]
    assert refused["short"]["host"]["needed"] > refused["short"]["host"]["left"] > 0
    assert not list((site.root / "supervisor" / "conf.d").glob("*"))


def test_the_status_of_a_host_is_one_table(site, port, play):
    site(on_host(port))
    given = {"llama_root": str(site.root), "llama_scope": "user", "llama_manager": "supervisor"}
    run = play(REPOSITORY / "playbooks" / "status.yml", given)
    assert run.rc == 2, run.output  # up, and not in this inventory
    lines = [" ".join(line.split()) for line in run.result("Show them")["msg"]]
    assert lines[0] == "host instance state residency build model memory tok/s endpoint age"
    assert lines[1].startswith("localhost chat ready (unlisted) verified ") and " tiny " in lines[1]
    assert f" http://127.0.0.1:{port} " in lines[1]
    wanted = {"chat": {"model": "tiny", "port": port}}
    listed = {**given, "llama_models": {"tiny": {"source": "builtin:tiny"}}, "llama_instances": wanted}
    run = play(REPOSITORY / "playbooks" / "status.yml", listed)
    assert run.rc == 0, run.output
    assert "localhost chat ready verified" in " ".join(run.result("Show them")["msg"][1].split())
