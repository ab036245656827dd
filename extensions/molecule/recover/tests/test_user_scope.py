# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody without root, on `one` beside the instances of the system: instances under the systemd of one user."""

from __future__ import annotations

import contextlib
import json
import subprocess

import pytest
from hosts import BUILD, INVENTORY, LAB_SH, play, sh, wait_until

USER, HOME = "op", "/home/op"
ROOT, UNITS = f"{HOME}/llama-runtime", f"{HOME}/.config/systemd/user"
BUS = ("runuser", "-u", USER, "--", "env", "XDG_RUNTIME_DIR=/run/user/1000")
MINE = {"name": "chat", "model": "tiny", "port": 18080}
TAKEN = {"name": "hand", "model": "tiny", "port": 18090, "adopt": True}


def site(*instances, playbook="site", **variables):
    """Run a playbook as this user."""
    wanted = {item["name"]: {key: value for key, value in item.items() if key != "name"} for item in instances}
    mine = {"ansible_user": USER, "llama_scope": "user", "llama_root": ROOT, "llama_instances": wanted}
    return play(playbook, "one", **mine, **variables)


def as_user(*words, check=True):
    return sh("one", *BUS, *words, check=check)


def shown(unit, name):
    return as_user("systemctl", "--user", "show", unit, f"--property={name}", "--value")


def pid_of(name):
    return int(shown(f"llama-{name}", "MainPID"))


def status():
    return {name: item["state"] for name, item in json.loads(host("status", "--json"))["instances"].items()}


def host(*words):
    return as_user(f"{ROOT}/bin/llama-host", *words, check=False)


@contextlib.contextmanager
def quick_watchdog(name):
    """The watchdog of an instance with an interval and deadlines of seconds."""
    stem = f"llama-watchdog@{name}"
    text = as_user("cat", f"{UNITS}/{stem}.service").replace("\\\n", "")
    (command,) = (line for line in text.splitlines() if line.startswith("ExecStart="))
    often = "OnActiveSec=\nOnActiveSec=1\nOnUnitInactiveSec=1\nAccuracySec=100ms\n"
    drop_ins = {
        f"{stem}.timer": f"[Timer]\n{often}",
        f"{stem}.service": f"[Service]\nExecStart=\n{command} --timeout 1 --pause 1\n",
    }
    for unit, lines in drop_ins.items():
        as_user("bash", "-ec", 'mkdir -p "$1.d" && printf %s "$2" >"$1.d/quick.conf"', "-", f"{UNITS}/{unit}", lines)
    again = f"systemctl --user daemon-reload && systemctl --user restart {stem}.timer"
    as_user("bash", "-ec", again)
    yield
    as_user("bash", "-ec", f"rm -r {UNITS}/{stem}.*.d && {again}")


def listens(port):
    return sh("one", "ss", "-Hltnp", f"sport = :{port}")


@pytest.fixture(scope="module", autouse=True)
def user():
    """The user, who may log in, keeps processes, and has a build that was made beforehand."""
    sh("one", "bash", "-ec", f"""
        useradd --create-home --uid 1000 --shell /bin/bash {USER}
        install -d -m 700 -o {USER} -g {USER} {HOME}/.ssh {ROOT} {ROOT}/builds
        install -m 600 -o {USER} -g {USER} /root/.ssh/authorized_keys {HOME}/.ssh/
        cp -r /opt/llama/builds/{BUILD} {ROOT}/builds/ && chown -R {USER}: {ROOT}
        loginctl enable-linger {USER}
    """)  # fmt: skip
    wait_until(lambda: as_user("systemctl", "--user", "is-system-running", check=False) == "running")


@pytest.fixture(scope="module")
def up(user):
    """What the first run as this user did to the host."""
    look = ("bash", "-c", "ls -lR --time-style=full-iso /etc/systemd/system /opt/llama/instances /opt/llama/keys")
    before = sh("one", *look)
    output, changed = site(MINE)
    return {"output": output, "changed": changed, "outside": (before, sh("one", *look))}


def test_an_instance_runs_under_the_systemd_of_the_user(up):
    assert up["changed"] > 0 and up["outside"][0] == up["outside"][1]
    pid = pid_of("chat")
    assert sh("one", "stat", "-c", "%U", f"/proc/{pid}") == USER
    assert "/user@1000.service/" in sh("one", "cat", f"/proc/{pid}/cgroup")
    assert as_user("systemctl", "--user", "is-enabled", "llama-chat") == "enabled"
    assert as_user("systemctl", "--user", "is-active", "llama-watchdog@chat.timer") == "active"
    assert status() == {"chat": "ready"}
    assert "all slots are idle" in host("logs", "chat")


def test_a_second_run_changes_nothing(up):
    pid = pid_of("chat")
    output, changed = site(MINE)
    assert changed == 0 and pid_of("chat") == pid, output


def test_it_comes_back_when_it_is_killed_and_when_it_hangs(up):
    first = pid_of("chat")
    sh("one", "kill", "-KILL", str(first))
    second = wait_until(lambda: next((pid for pid in [pid_of("chat")] if pid not in (0, first)), 0))
    wait_until(lambda: status() == {"chat": "ready"})
    with quick_watchdog("chat"):
        sh("one", "kill", "-STOP", str(second))
        wait_until(lambda: pid_of("chat") not in (0, second), 90)
    wait_until(lambda: status() == {"chat": "ready"})


def test_a_server_that_the_user_started_is_adopted_and_becomes_a_unit(up):
    words = f"{ROOT}/builds/{BUILD}/bin/llama-server -m {ROOT}/models/builtin/tiny.gguf --port {TAKEN['port']}"
    shell = f"setsid {words} </dev/null >{HOME}/by-hand.log 2>&1 &"
    argv = ["ansible", "one", "-i", INVENTORY, "-e", f"ansible_user={USER}", "-m", "ansible.builtin.shell", "-a", shell]
    subprocess.run(argv, check=True, capture_output=True)
    pid = int(wait_until(lambda: listens(TAKEN["port"])).partition("pid=")[2].partition(",")[0])
    assert "/session-" in sh("one", "cat", f"/proc/{pid}/cgroup")
    as_user(f"{ROOT}/libexec/llama-probe", f"http://127.0.0.1:{TAKEN['port']}", "--wait", "60")
    output, changed = site(MINE, TAKEN)
    assert changed == 1 and "do not count against its limit" in output
    assert "/user@1000.service/app.slice/llama-hand.scope" in sh("one", "cat", f"/proc/{pid}/cgroup")
    assert status() == {"chat": "ready", "hand": "ready"} and str(pid) in listens(TAKEN["port"])
    assert site(MINE, TAKEN)[1] == 0
    site(MINE, TAKEN, playbook="restart")
    assert pid_of("hand") not in (0, pid) and shown("llama-hand.scope", "ActiveState") == "inactive"
    assert site(MINE, TAKEN)[1] == 0


def test_all_of_it_is_there_after_a_reboot_and_goes_when_the_inventory_drops_it(up):
    subprocess.run([LAB_SH, "reboot", "one"], check=True)
    wait_until(lambda: status() == {"chat": "ready", "hand": "ready"})
    site(MINE, playbook="deploy", llama_instances_prune="remove")
    assert status() == {"chat": "ready"} and listens(TAKEN["port"]) == ""
    site(playbook="deploy", llama_instances_prune="remove")
    assert sh("one", "find", UNITS, "-type", "f") == "" and sh("one", "ls", f"{ROOT}/instances") == ""
