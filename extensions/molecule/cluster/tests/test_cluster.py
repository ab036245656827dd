# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A head over two workers: `head` serves `big` with the memory of `one` and `two`, and `alone` by itself."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path

import pytest
import yaml

INVENTORY = os.environ["MOLECULE_INVENTORY_FILE"]
PLAYBOOKS = Path(__file__).resolve().parents[4] / "playbooks"
LAB, LAB_SH = os.environ.get("LAB", "llab"), os.environ["LAB_SH"]
ASK = """
import json, sys, urllib.request
url, body = sys.argv[1:]
head = {"Content-Type": "application/json"}
with urllib.request.urlopen(urllib.request.Request(url, body.encode(), head), timeout=20) as answer:
    print(json.load(answer)["content"])
"""
REACH = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()
    print("open")
except OSError as exc:
    print(type(exc).__name__)
"""
PORTS = {"one": 50052, "two": 50060}
LOST_AFTER = 30  # rpclink.LOST_AFTER
UNITS = {"head": "llama-big", "one": "llama-rpc@w0", "two": "llama-rpc@w0"}


def sh(host, *words, check=True):
    """Run a command in a host without SSH."""
    return subprocess.run([LAB_SH, "sh", host, *words], check=check, capture_output=True, text=True).stdout


def show(host, what, unit=None):
    return sh(host, "systemctl", "show", f"{unit or UNITS[host]}.service", f"--property={what}", "--value").strip()


@pytest.fixture(scope="module")
def address():
    said = subprocess.run([LAB_SH, "inventory"], check=True, capture_output=True, text=True).stdout
    return {name: host["ansible_host"] for name, host in yaml.safe_load(said)["all"]["hosts"].items()}


@pytest.fixture
def tell(capsys):
    """Print a figure for whoever reads the output of a run."""

    def said(text):
        with capsys.disabled():
            print(f"\n    {text}")

    return said


def play(playbook, **variables):
    """Run a playbook of the collection; returns its output."""
    argv = ["ansible-playbook", "-i", INVENTORY, "-e", json.dumps(variables), str(PLAYBOOKS / f"{playbook}.yml")]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def answer(port=8080, prompt="Hello"):
    body = json.dumps({"prompt": prompt, "n_predict": 16, "temperature": 0, "cache_prompt": False})
    return sh("head", "python3", "-c", ASK, f"http://127.0.0.1:{port}/completion", body, check=False).strip()


def until(met, seconds, pause=0.2):
    """Seconds until something is so."""
    began = time.monotonic()
    while not met():
        assert time.monotonic() - began < seconds, "it took too long"
        time.sleep(pause)
    return time.monotonic() - began


def well():
    """Both workers serve the head, and it answers."""
    until(lambda: show("head", "ActiveState") == "active" and answer(), 60)


def clients(host):
    """Established connections of a worker."""
    rows = [line.split() for line in sh(host, "cat", "/proc/net/tcp").splitlines()[1:]]
    return sum(row[3] == "01" and row[1].endswith(f":{PORTS[host]:04X}") for row in rows)


@contextlib.contextmanager
def cut(host, other):
    """No packet between two hosts, and nobody is told."""
    nft = ["ip", "netns", "exec", f"{LAB}-{host}", "nft"]
    chains = f"chain i {{ type filter hook input priority 0; ip saddr {other} drop; }}; "
    chains += f"chain o {{ type filter hook output priority 0; ip daddr {other} drop; }};"
    subprocess.run([*nft, f"table inet cut {{ {chains} }}"], check=True)
    try:
        yield
    finally:
        subprocess.run([*nft, "delete table inet cut"], check=True)


def test_the_tokens_are_those_of_one_host():
    for prompt in ("Hello", "Say hello.", "this build computes", "x " * 200):
        assert answer(8080, prompt) == answer(8081, prompt) != ""
    log = sh("head", "journalctl", "-u", "llama-big", "-o", "cat", "--no-pager")
    for host in ("one", "two"):
        assert clients(host) == 1
        assert any(f":{PORTS[host]}]" in line and "model buffer size" in line for line in log.splitlines()), host
    plan = json.loads(sh("head", "grep", "^Plan=", "/etc/systemd/system/llama-big.service").partition("=")[2])
    assert [row["backend"] for row in plan["devices"]] == ["rpc", "rpc"]
    assert all(row["components"]["weights"] for row in plan["devices"])


def test_nobody_but_the_head_reaches_a_worker(address):
    for host, strangers in (("one", ("two", "one")), ("two", ("one", "two"))):
        for stranger in strangers:
            found = sh(stranger, "python3", "-c", REACH, address[host], str(PORTS[host])).strip()
            assert found in ("TimeoutError", "ConnectionRefusedError"), (host, stranger, found)
        assert sh("head", "python3", "-c", REACH, address[host], str(PORTS[host])).strip() == "open"
    listening = sh("one", "cat", "/proc/net/tcp").splitlines()
    assert [line for line in listening if " 00000000:C384 " in line and " 0A " in line] == [], "not on all addresses"
    assert answer()


def test_a_worker_that_nobody_names_stands_still():
    assert show("one", "ActiveState", "llama-rpc@idle") == "inactive"


def test_the_table_of_the_fleet_shows_workers(tmp_path):
    well()
    said = play("status", export=str(tmp_path))
    rows = {(row["host"], row["instance"]): row for row in json.loads((tmp_path / "status.json").read_text())}
    assert {key: row["state"] for key, row in rows.items() if row["kind"] == "rpc"} == {
        ("one", "rpc@w0"): "ready",
        ("one", "rpc@idle"): "stopped",
        ("two", "rpc@w0"): "ready",
    }
    assert [row["reasons"] for row in rows.values() if row["reasons"]] == [], said


def test_a_second_deploy_changes_nothing_and_a_second_head_is_refused():
    pids = {host: show(host, "MainPID") for host in UNITS}
    said = play("deploy", llama_hosts="one,head")
    assert said.count("changed=0 ") == 2 and said.count("failed=0 ") == 2, said
    greedy = {"greedy": {"model": "tiny", "port": 8099, "rpc": [{"host": "one", "worker": "w0"}]}}
    said = play("deploy", llama_hosts="one", llama_instances__more=greedy)  # on all hosts: extra variables are
    assert "is named by two instances" in said and "failed=1" in said, said
    assert {host: show(host, "MainPID") for host in UNITS} == pids


def test_the_cache_is_cleaned():
    folder = "/var/cache/private/llama/rpc@w0/rpc"
    sh(
        "one",
        "sh",
        "-c",
        f"mkdir -p {folder} && head -c 900000 /dev/zero >{folder}/a && head -c 900000 /dev/zero >{folder}/b",
    )
    sh("one", "touch", "-d", "2000-01-01", f"{folder}/a")
    sh("one", "systemctl", "start", "llama-watchdog@rpc@w0.service")
    assert sh("one", "ls", folder).split() == ["b"]
    assert show("one", "ActiveState", "llama-watchdog@rpc@w0.timer").startswith(("active", "inactive"))
    assert "active" in sh("one", "systemctl", "is-active", "llama-watchdog@rpc@w0.timer")
    assert sh("one", "stat", "-c", "%U", folder).strip() != "nobody"


def test_a_killed_head_is_back_and_its_workers_are_free_for_it(tell):
    well()
    began, pid = time.monotonic(), show("head", "MainPID")
    sh("head", "kill", "-KILL", pid)
    until(lambda: show("head", "MainPID") not in (pid, "0") and answer(), 60)
    tell(f"head killed: answers again after {time.monotonic() - began:.1f} s")


def test_a_killed_worker_costs_a_restart_of_the_head(tell):
    well()
    for _time in range(2):  # its watchdog has seen a token, and asks for none in the next five minutes
        sh("head", "systemctl", "start", "llama-watchdog@big.service")
    head, began = show("head", "MainPID"), time.monotonic()
    sh("one", "kill", "-KILL", show("one", "MainPID"))
    noticed = until(lambda: show("head", "MainPID") not in (head, "0"), 60)  # nobody asks it anything
    until(lambda: show("head", "ActiveState") == "active" and answer(), 60)
    tell(f"worker killed: an idle head noticed after {noticed:.1f} s, answers after {time.monotonic() - began:.1f} s")
    assert answer() == answer(8081)


def test_a_killed_worker_under_requests(tell):
    well()
    began = time.monotonic()
    sh("two", "kill", "-KILL", show("two", "MainPID"))
    until(answer, 60)
    tell(f"worker killed under requests: answers again after {time.monotonic() - began:.1f} s")


def test_a_worker_that_is_cut_off_for_a_minute_is_given_up_by_both_sides(address, tell):
    well()
    pid, began = show("head", "MainPID"), time.monotonic()
    with cut("one", address["head"]):
        asked = subprocess.Popen(
            [LAB_SH, "sh", "head", "python3", "-c", ASK, "http://127.0.0.1:8080/completion", '{"prompt": "Hello"}'],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        freed = until(lambda: not clients("one"), LOST_AFTER + 10)  # the head cannot have said so
        until(lambda: show("head", "MainPID") != pid, LOST_AFTER + 10)
        tell(f"cut off: worker free after {freed:.1f} s, head given up after {time.monotonic() - began:.1f} s")
        asked.wait()
        time.sleep(max(0.0, began + 60 - time.monotonic()))
        assert show("one", "ActiveState") == "active" and not answer()
    healed = time.monotonic()
    until(answer, 60)
    tell(f"together again: answers after {time.monotonic() - healed:.1f} s")
    assert answer() == answer(8081)
