# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How models reach two hosts. The tests run in the network of the lab, where they serve the hub."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve()
REPOSITORY = HERE.parents[4]
sys.path.insert(0, str(REPOSITORY / "tests"))
from fixtures import local_hub  # noqa: E402
from fixtures.gguf_bytes import ARCH, gguf_header, tensor  # noqa: E402

INVENTORY = os.environ["MOLECULE_INVENTORY_FILE"]
LAB, LAB_SH = os.environ.get("LAB", "llab"), os.environ["LAB_SH"]
GATEWAY = os.environ.get("LAB_SUBNET", "10.231.7") + ".1"
REPO = "owner/model-GGUF"
SIZE = 64 << 20
PIECE = 8 << 20  # of a relay
SHARED = "/srv/shared"


def model(size: int, seed: int) -> bytes:
    """A GGUF file whose bytes are all different, so that a piece in the wrong place shows."""
    head = gguf_header([ARCH], [tensor("a", (size // 4,))])
    return head + b"\0" * (-len(head) % 32) + random.Random(seed).randbytes(size)


BIG, SMALL = model(SIZE, 1), model(4 << 20, 2)


@pytest.fixture(scope="module")
def hub():
    with local_hub.serving(GATEWAY) as found:
        yield found


def sh(host, *words, check=True):
    """Run a command in a host without SSH."""
    return subprocess.run([LAB_SH, "sh", host, *words], check=check, capture_output=True, text=True).stdout


def start(playbook, hosts, **variables):
    """ansible-playbook at work."""
    given = json.dumps({"llama_hosts": hosts, "llama_progress_every": 0.1, **variables})
    folder = REPOSITORY / "playbooks" if playbook != "sealed" else HERE.parents[1]
    argv = ["ansible-playbook", "-i", INVENTORY, "-e", given, str(folder / f"{playbook}.yml")]
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ended(process, timeout=120):
    """The output of a run, which must succeed."""
    output = process.communicate(timeout=timeout)[0]
    assert process.returncode == 0, output
    return output


def play(playbook, hosts, **variables):
    return ended(start(playbook, hosts, **variables))


def below(pid):
    """The processes below one; workers of Ansible have a group of their own."""
    words = [word for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]
    return [each for child in map(int, words) for each in (*below(child), child)]


def kill(process):
    for pid in [process.pid, *below(process.pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def models(hub, source=f"{REPO}:Q8_0", **more):
    return {"llama_models": {"m": {"source": source}}, "llama_models_endpoint": hub.endpoint, **more}


def wait_for(met, seconds=60.0, pause=0.02):
    deadline = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < deadline
        time.sleep(pause)
    return found


def digest(host, path):
    return sh(host, "sha256sum", path).split()[0]


def root_of(host):
    """The file system of a host, seen from here."""
    return Path(os.environ.get("LAB_STATE", f"/var/tmp/{LAB}"), "hosts", host, "root")


def parts(host, folder="opt/llama/models"):
    return list((root_of(host) / folder).rglob(".part-*"))


def path_of(name, home="/opt/llama/models"):
    return f"{home}/{REPO}/{name}"


@contextlib.contextmanager
def without_ssh(host):
    """No SSH to a host; connections that are open are cut."""
    nft = ["ip", "netns", "exec", f"{LAB}-{host}", "nft"]
    rule = "table inet cut { chain in { type filter hook input priority 0; tcp dport 22 reject with tcp reset; }; }"
    subprocess.run([*nft, rule], check=True)
    try:
        yield
    finally:
        subprocess.run([*nft, "delete table inet cut"], check=True)


def test_a_relay_that_is_killed_is_gone_on_with(hub):
    hub.push(REPO, {"m-Q8_0.gguf": BIG})
    given = models(hub, llama_models_from="one")
    first = start("models", "two", **given)
    have = wait_for(lambda: next((size for part in parts("two") if (size := part.stat().st_size) > 16 << 20), 0))
    kill(first)
    left = parts("two")[0].stat().st_size
    assert have <= left < SIZE and not sh("two", "find", "/opt/llama/models", "-name", "*.gguf")
    second = start("models", "two", **given, ansible_become=True)
    wait_for(lambda: parts("two") and parts("two")[0].stat().st_size > left + PIECE)  # beyond what was under way
    with without_ssh("two"):
        time.sleep(2)
    output = ended(second)
    assert "the connection was lost while models came from one; going on" in output, output
    rest = re.search(r"\[two\] from one: [0-9.]+ MiB of ([0-9.]+) MiB", output)
    assert rest and float(rest[1]) <= (len(BIG) - left) / (1 << 20) + 0.1, output
    wanted = hashlib.sha256(BIG).hexdigest()
    assert {digest(host, path_of("m-Q8_0.gguf")) for host in ("one", "two")} == {wanted}
    assert hub.count("cdn") == 1, "the hub gave it once"
    assert sh("two", "stat", "-c", "%a %G", path_of("m-Q8_0.gguf")).split() == ["640", "llama-models"]
    assert "changed=0" in play("models", "two", **given) and not parts("two")


def test_a_download_outlives_a_lost_connection(hub):
    hub.push("owner/other-GGUF", {"o-Q8_0.gguf": SMALL})
    hub.hang, hub.only = threading.Event(), "o-Q8_0.gguf"
    running = start("models", "one", **models(hub, "owner/other-GGUF:Q8_0"))
    wait_for(lambda: parts("one") and parts("one")[0].stat().st_size)
    with without_ssh("one"):
        time.sleep(8)
    release, hub.hang, hub.only = hub.hang, None, ""
    release.set()
    output = ended(running)
    assert "the connection was lost; the job goes on" in output, output
    assert digest("one", "/opt/llama/models/owner/other-GGUF/o-Q8_0.gguf") == hashlib.sha256(SMALL).hexdigest()
    assert not sh("one", "find", "/opt/llama/work/jobs", "-name", "gguf-model-*")


def test_a_host_without_a_network_lives_on_a_bundle(hub):
    usb = {"llama_bundle_write": "/root/usb", "llama_bundle_pythons": ["3.11", "3.13"]}
    packages = {"llama_bundle_packages": ["huggingface_hub>=1.8,<3"]}
    sources = {"llama_models": {"m": f"{REPO}:Q8_0"}, "llama_models_endpoint": hub.endpoint}
    play("models", "one", **sources)
    play("bundle", "one", **sources, **usb, **packages)
    written = digest("one", "/root/usb/bundle.json")
    subprocess.run(["cp", "-a", root_of("one") / "root/usb", root_of("two") / "root/usb"], check=True)
    sh("two", "rm", "-r", "/opt/llama/models/owner", "/opt/llama/models/.sets")
    sh("two", "ip", "route", "del", "default")
    try:
        python = {"llama_runtime_python_packages": packages["llama_bundle_packages"]}
        asked = len(hub.requests)
        given = {**sources, **python, "llama_bundle": "/root/usb", "llama_runtime_manage_packages": False}
        play("sealed", "two", **given, llama_bundle_sha256=written)
    finally:
        sh("two", "ip", "route", "add", "default", "via", GATEWAY)
    assert len(hub.requests) == asked
    assert digest("two", path_of("m-Q8_0.gguf")) == hashlib.sha256(BIG).hexdigest()
    sh("two", "/opt/llama/venv/bin/python", "-c", "import huggingface_hub")
    sh("two", "rm", "-r", "/root/usb")
    assert "changed=0" in play("sealed", "two", **given, llama_bundle_sha256=written)


def test_two_runs_at_once_fill_one_shared_store(hub, tmp_path):
    hub.push("owner/shared-GGUF", {"s-Q8_0.gguf": SMALL})
    store = {"path": SHARED, "mode": "rw", "shared": True, "require_mount": True}
    given = models(hub, "owner/shared-GGUF:Q8_0", llama_models_stores=[store])
    for host in ("one", "two"):
        sh(host, "mkdir", "-p", SHARED)
    refused = start("models", "one", **given).communicate(timeout=120)[0]
    assert f"{SHARED} is not mounted" in refused and not sh("one", "ls", SHARED), refused
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    for host in ("one", "two"):
        subprocess.run([sys.executable, HERE.parent / "share.py", str(folder), pid_of(host), SHARED], check=True)
    runs = [start("models", host, **given) for host in ("one", "two")]
    for run in runs:
        ended(run)
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert [path.read_bytes() == SMALL for path in found] == [True], found
    for host in ("one", "two"):
        record = json.loads(sh(host, "cat", "/opt/llama/models/.sets/m.json"))
        assert record["path"] == f"{SHARED}/{found[0].relative_to(folder)}"
    assert "changed=0" in play("models", "one,two", **given)


def pid_of(host):
    """The host's first process, seen from here."""
    keeper = (root_of(host).parent / "pid").read_text().strip()
    nspawn = subprocess.run(["pgrep", "-o", "-P", keeper], check=True, capture_output=True, text=True).stdout.strip()
    return subprocess.run(["pgrep", "-o", "-P", nspawn], check=True, capture_output=True, text=True).stdout.strip()


def test_a_disk_that_fills_up_while_a_model_comes(hub):
    hub.push("owner/full-GGUF", {"f-Q8_0.gguf": BIG})
    sh("one", "mkdir", "-p", "/mnt/small")
    sh("one", "mount", "-t", "tmpfs", "-o", "size=200m,mode=755", "tmpfs", "/mnt/small")
    store = {"path": "/mnt/small", "mode": "rw", "require_mount": True}
    given = models(hub, "owner/full-GGUF:Q8_0", llama_models_stores=[store])
    hub.hang, hub.only = threading.Event(), "f-Q8_0.gguf"
    running = start("models", "one", **given)
    wait_for(lambda: "part" in sh("one", "find", "/mnt/small", "-name", ".part-*", "-size", "+1M"), pause=0.2)
    sh("one", "dd", "if=/dev/zero", "of=/mnt/small/other", "bs=1M", check=False)
    release, hub.hang, hub.only = hub.hang, None, ""
    release.set()
    output = running.communicate(timeout=120)[0]
    assert running.returncode and ("/mnt/small/owner/full-GGUF is full" in output or "stay free" in output), output
    assert not sh("one", "find", "/mnt/small", "-name", "*.gguf")
    sh("one", "rm", "/mnt/small/other")
    play("models", "one", **given)
    assert digest("one", "/mnt/small/owner/full-GGUF/f-Q8_0.gguf") == hashlib.sha256(BIG).hexdigest()
