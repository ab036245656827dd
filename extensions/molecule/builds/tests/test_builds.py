# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One compile for four hosts, the way back, a builder that is disturbed, beside instances that are asked always."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import testinfra

INVENTORY = os.environ["MOLECULE_INVENTORY_FILE"]
REAL = os.environ["LAB_BUILD_ID"]
COPY = REAL[:-8] + "00000001"  # the instances run from it
PLAYBOOKS = Path(__file__).resolve().parents[4] / "playbooks"
ROOT = "/opt/llama"
NAMES = ("one", "two", "three", "four")
SERVING = NAMES[:3]
# asks the instance always; writes how many answers came, and when (s, one clock on all hosts) there was none
LOOP = """
import json, os, time, urllib.request
good, failed = 0, []
head = {"Content-Type": "application/json"}
body = json.dumps({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}).encode()
while True:
    try:
        request = urllib.request.Request("http://127.0.0.1:8080/v1/chat/completions", body, head)
        with urllib.request.urlopen(request, timeout=20) as answer:
            answer.read()
        good += 1
    except OSError:
        failed.append(time.monotonic())
    with open("/run/asked.new", "w") as file:
        file.write(json.dumps([good, failed]))
    os.replace("/run/asked.new", "/run/asked")
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def lab():
    return {name: testinfra.get_host(f"ansible://{name}", ansible_inventory=INVENTORY) for name in NAMES}


@pytest.fixture(scope="module", autouse=True)
def asked(lab):
    """The request loops; says of each host how often it answered, and when it did not."""
    for name in SERVING:
        lab[name].check_output("systemd-run --unit=asking python3 -c %s", LOOP)
    yield lambda: {name: json.loads(lab[name].file("/run/asked").content_string) for name in SERVING}
    for name in SERVING:
        lab[name].run("systemctl stop asking")


def start(playbook, *arguments, control=None):
    """ansible-playbook, begun."""
    env = {**os.environ, "ANSIBLE_HOST_KEY_CHECKING": "0", "ANSIBLE_PIPELINING": "1"}
    if control:
        env["ANSIBLE_SSH_CONTROL_PATH_DIR"] = str(control)
    argv = [shutil.which("ansible-playbook"), "-i", INVENTORY, PLAYBOOKS / playbook, *arguments]
    return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def end(begun):
    """Exit status and output."""
    output = begun.communicate(timeout=300)[0]
    return begun.returncode, output


def timed(playbook, *arguments):
    """The output of a playbook that succeeds, and its seconds."""
    before = time.monotonic()
    rc, output = end(start(playbook, *arguments))
    assert rc == 0, output
    return output, time.monotonic() - before


def active(host):
    return os.path.basename(host.check_output("readlink %s/current", ROOT))


def runs(host):
    """The build that the process of the instance runs from."""
    pid = host.check_output("systemctl show --value --property MainPID llama-chat")
    return host.check_output("readlink /proc/%s/exe", pid).split("/")[4]


def commit(lab, behaviour):
    """A further commit upstream; returns it."""
    script = f"cd /srv/upstream && echo {behaviour} >behaviour && git commit -qam next && git rev-parse HEAD"
    return lab["one"].check_output("su -s /bin/sh llama-build -c %s", f"export HOME=/tmp; {script}")


def wait_for(host, path):
    deadline = time.monotonic() + 120
    while not host.file(path).exists:
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.3)


def test_exactly_one_host_compiled(lab):
    ids = {active(host) for host in lab.values()}
    assert len(ids) == 1 and not ids & {REAL, COPY}
    folder = f"{ROOT}/builds/{ids.pop()}"
    assert {name for name in NAMES if lab[name].file(f"{ROOT}/work/build").exists} == {"one"}
    assert {name for name in NAMES if lab[name].file(f"{folder}/received.json").exists} == {"two", "three", "four"}
    assert not lab["two"].exists("cmake") and not lab["two"].exists("c++")
    for host in lab.values():
        state = host.file(f"{folder}/bin/llama-server")
        assert (state.user, state.mode) == ("root", 0o755)
        assert not host.file(f"{ROOT}/artifacts").exists or host.check_output("ls %s/artifacts", ROOT) == ""
    assert runs(lab["two"]) == COPY


def test_a_further_host_gets_it_from_the_cache_in_time(lab):
    wanted = active(lab["one"])
    lab["three"].check_output("rm -rf %s/builds/%s %s/current", ROOT, wanted, ROOT)
    output, seconds = timed("build.yml", "--limit", "three")
    assert "came from one" in output
    assert active(lab["three"]) == wanted
    print(f"a further host: {seconds:.1f} s")


def test_nothing_to_do_is_quick(lab):
    output, seconds = timed("build.yml")
    assert "changed=0" in output and "changed=1" not in output
    print(f"no change: {seconds / len(NAMES):.1f} s a host")


def test_a_builder_that_is_disturbed(lab, tmp_path):
    """Ninja is killed, then every connection to the hosts; in the end all have the new build."""
    before = active(lab["one"])
    wanted = commit(lab, "slow /tmp/flag")
    begun = start("build.yml")
    wait_for(lab["one"], "/tmp/flag.started")
    ninja = lab["one"].check_output("pgrep -xu llama-build ninja").split()
    lab["one"].check_output("kill -KILL %s", ninja[0])
    lab["one"].run("touch /tmp/flag")  # lets what ninja had started end
    rc, output = end(begun)
    assert rc != 0 and "Compiling llama.cpp failed" in output and "which failed in this play" in output, output
    assert {active(host) for host in lab.values()} == {before}

    lab["one"].check_output("rm -f /tmp/flag /tmp/flag.started")
    begun = start("build.yml", "-e", "llama_progress_every=1", control=tmp_path)
    wait_for(lab["one"], "/tmp/flag.started")
    killed = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        # clients, which are there only for moments, and the masters that they share
        if words.startswith((b"ssh\0", b"ssh: ")) and os.fsencode(tmp_path) in words:
            os.kill(int(path.parent.name), signal.SIGKILL)
            killed += 1
    assert killed
    time.sleep(2)
    lab["one"].check_output("touch /tmp/flag")
    rc, output = end(begun)
    assert rc == 0, output
    assert len({active(host) for host in lab.values()}) == 1
    assert wanted[:7] in active(lab["four"])


def test_a_build_that_dies_reaches_nobody(lab):
    before = active(lab["one"])
    commit(lab, "dies")
    rc, output = end(start("update.yml"))
    assert rc != 0 and "did not start" in output, output
    assert {active(host) for host in lab.values()} == {before}


def test_the_instances_answered_all_the_time(lab, asked):
    said = asked()
    print(f"answers: {[good for good, _failed in said.values()]}")
    assert all(good > 50 and not failed for good, failed in said.values()), said
    assert {runs(lab[name]) for name in SERVING} == {COPY}


def test_the_way_back_of_hosts_and_of_instances(lab, asked):
    """Who asks the next host where one refuses has an answer at any time."""
    left = active(lab["one"])
    before = asked()
    begun = time.time()
    output, seconds = timed("rollback.yml", "-e", f"llama_rollback_to={REAL}")
    assert {active(host) for host in lab.values()} == {REAL}
    assert {runs(lab[name]) for name in SERVING} == {REAL}, "the instances went along"
    assert f"llama_build_refused: [{left}]" in output
    switched = max(float(host.check_output("find %s/current -printf %%T@", ROOT)) for host in lab.values()) - begun
    after = asked()
    assert all(after[name][0] > before[name][0] for name in SERVING), after
    apart = sorted((failed[0], failed[-1]) for _good, failed in after.values() if failed)
    assert all(first[1] < second[0] for first, second in zip(apart, apart[1:])), "two hosts were down at a time"
    print(f"{len(NAMES)} hosts switched after {switched:.1f} s; with {len(SERVING)} restarts {seconds:.1f} s")
    print(f"without an answer, a host: {[round(last - first, 1) for first, last in apart]} s")

    source = {"url": "/srv/upstream", "ref": left.split("-")[1]}
    refusing = {"llama_build_refused": [left], "llama_build_source": source}
    output, _seconds = timed("build.yml", "-e", json.dumps(refusing))
    assert "changed=0" in output and "changed=1" not in output
    assert f"The build {left} is refused; {REAL} stays active." in " ".join(output.split())
    assert {active(host) for host in lab.values()} == {REAL}
