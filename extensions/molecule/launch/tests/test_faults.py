# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong, and how an instance comes back, or says why it does not."""

from __future__ import annotations

import contextlib
import json

import pytest
from hosts import ROOT, converge, cured, drop_in, module, pid_of, put, served, shown, wait_until

KEY = "a-key-for-the-lab-only"
MODEL = f"{ROOT}/models/builtin/tiny.gguf"
INSTANCES = [("one", "chat", "server", 8080), ("one", "embed", "embedding", 8081), ("two", "chat", "server", 8080)]
QUICK_TIMER = "[Timer]\nOnActiveSec=\nOnActiveSec=1\nOnUnitInactiveSec=\nOnUnitInactiveSec=1\nAccuracySec=100ms\n"
THIEF = "import socket, time; s = socket.create_server(('127.0.0.1', 8080)); time.sleep(600)"


@pytest.fixture(params=INSTANCES, ids=["-".join(entry[:2]) for entry in INSTANCES])
def instance(request):
    """A host, the name, kind and port of an instance on it."""
    host, *rest = request.param
    return request.getfixturevalue(host), *rest


def answers(host, name, kind, port):
    """Does it do the work of its kind, as the installed probe says?"""
    key = f"--key-file {ROOT}/keys/{name}" if host.file(f"{ROOT}/keys/{name}").exists else ""
    said = host.run(f"{ROOT}/libexec/llama-probe http://127.0.0.1:{port} --kind {kind} --timeout 5 {key}")
    return said.rc == 0 and json.loads(said.stdout)["ok"]


def reason(host, name="chat"):
    return module(host, "llama_log_info", names=[name], since="start")["logs"][name]["reason"]


@contextlib.contextmanager
def quick_watchdog(host, name="chat"):
    """The watchdog of an instance with an interval and deadlines of seconds."""
    text = host.check_output("cat %s", f"/etc/systemd/system/llama-watchdog@{name}.service").replace("\\\n", "")
    command = [line for line in text.splitlines() if line.startswith("ExecStart=")][0]
    timer, service = f"llama-watchdog@{name}.timer", f"llama-watchdog@{name}.service"
    undo = [drop_in(host, timer, QUICK_TIMER)]
    undo.append(drop_in(host, service, f"[Service]\nExecStart=\n{command} --timeout 1 --pause 1\n"))
    host.check_output("systemctl restart %s", timer)
    try:
        yield
    finally:
        for step in undo:
            step()
        host.check_output("systemctl restart %s", timer)


def test_the_command_can_be_read_and_pasted(instance):
    host, name, _kind, _port = instance
    argv = host.check_output("tr '\\0' '\\n' < /proc/%s/cmdline", str(pid_of(host, f"llama-{name}"))).splitlines()
    text = host.check_output("systemctl cat %s", f"llama-{name}")
    assert [word for word in argv if word not in text] == []


def test_it_comes_back_after_kill_9(instance):
    host, name, kind, port = instance
    old = pid_of(host, f"llama-{name}")
    host.check_output("kill -KILL %s", str(old))
    wait_until(lambda: pid_of(host, f"llama-{name}") not in (0, old) and answers(host, name, kind, port), 30)


def test_kill_9_costs_little_more_than_with_a_bare_unit(two, figure):
    """A bare unit: the same command, Restart=always and nothing else."""
    text = two.check_output("cat /etc/systemd/system/llama-chat.service").replace("\\\n", "")
    command = next(line for line in text.splitlines() if line.startswith("ExecStart=")).replace("8080", "8095")
    put(two, "/run/systemd/system/bare.service", f"[Service]\nRestart=always\n{command}\n")
    two.check_output("systemctl daemon-reload && systemctl reset-failed llama-chat && systemctl start bare")
    wait_until(lambda: served(two, 8095) == 200)
    bare, ours = cured(two, "SIGKILL", "bare", 8095), cured(two, "SIGKILL")
    two.check_output("systemctl stop bare && rm /run/systemd/system/bare.service && systemctl daemon-reload")
    figure("kill -9 to the next token on Debian 13, ours / bare Restart=always, s", f"{ours} / {bare}")
    assert ours < 10


def test_a_hanging_process_is_found_and_ended(one, figure):
    with quick_watchdog(one):
        seconds = cured(one, "SIGSTOP", key=KEY)
    figure("SIGSTOP to the next token, looked at every second with 1 s for a token, s", seconds)
    assert seconds < 40
    assert '"verdict": "cured"' in one.check_output("journalctl --unit llama-watchdog@chat --output=cat --no-pager")


def test_a_sleeping_model_sleeps_on(one):
    look = f"{ROOT}/libexec/llama-probe http://127.0.0.1:8082 --look --sleepy"
    with quick_watchdog(one, "sleepy"):
        wait_until(lambda: json.loads(one.run(look).stdout)["state"] == "sleeping", 20)
        one.check_output("sleep 4")
        assert json.loads(one.run(look).stdout)["state"] == "sleeping"


def test_a_stolen_port_is_named_and_taken_back(two):
    two.check_output("systemctl reset-failed llama-chat")
    put(
        two,
        "/root/thief.py",
        "import time, socket\nwhile True:\n  try:\n    "
        + THIEF.split("; ", 1)[1].replace("; ", "\n    ")
        + "\n  except OSError:\n    time.sleep(0.001)\n",
    )
    two.check_output("systemd-run --quiet --unit=thief python3 /root/thief.py")
    two.check_output("kill -KILL %s", str(pid_of(two)))
    wait_until(lambda: "port is in use" in str(reason(two)))
    two.check_output("systemctl stop thief")
    wait_until(lambda: served(two) == 200, 30)


@pytest.mark.parametrize(
    ("damage", "said"), [("mv {0} {0}.away", "cannot be opened"), ("cp {0} {0}.away; truncate -s 60000 {0}", "damaged")]
)
def test_a_lost_or_truncated_model_is_named_and_taken_back(two, damage, said):
    two.check_output("systemctl reset-failed llama-chat")
    two.check_output(damage.format(MODEL))
    try:
        two.check_output("kill -KILL %s", str(pid_of(two)))
        wait_until(lambda: said in str(reason(two)))
    finally:
        two.check_output(f"mv {MODEL}.away {MODEL}")
    wait_until(lambda: served(two) == 200, 30)
    assert reason(two) is None


def test_a_storm_of_crashes_ends_in_a_clear_state(one):
    undo = drop_in(one, "llama-chat.service", "[Service]\nRestartSec=50ms\n")
    one.check_output(f"systemctl reset-failed llama-chat; mv {MODEL} {MODEL}.away")
    try:
        one.check_output("kill -KILL %s", str(pid_of(one)))
        wait_until(lambda: shown(one, "llama-chat", "ActiveState")["ActiveState"] == "failed", 30)
        assert int(shown(one, "llama-chat", "NRestarts")["NRestarts"]) <= 12
        assert "cannot be opened" in reason(one)
        one.check_output("systemctl start llama-watchdog@chat.service")
        assert shown(one, "llama-chat", "ActiveState")["ActiveState"] == "failed"  # the watchdog leaves it so
        assert "failed" in module(one, "llama_instance_info", names=["chat"])["instances"]["chat"]["detail"]
    finally:
        one.check_output(f"mv {MODEL}.away {MODEL}")
        undo()
    assert converge(one)["instances"]["chat"]["actions"] == ["start"]
    assert served(one, key=KEY) == 200


def test_the_pauses_between_crashes_grow_where_systemd_can(two):
    wanted = {"RestartUSec": "1s", "RestartSteps": "6", "RestartMaxDelayUSec": "1min"}
    assert shown(two, "llama-chat", *wanted) == wanted


def test_all_come_back_after_a_reboot(one, two, figure):
    before = {host: boot_of(host) for host in (one, two)}
    for host in (one, two):
        host.check_output("systemd-run --quiet --on-active=1 --timer-property=AccuracySec=10ms systemctl reboot")
    wait_until(lambda: all(boot_of(host) not in ("", before[host]) for host in (one, two)))
    seconds = wait_until(lambda: all(answers({"one": one, "two": two}[name], *rest) for name, *rest in INSTANCES))
    figure("reboot: all answer this long after the hosts do, s", round(seconds, 1))
    manager = float(boot_of(two).partition("=")[2])
    ready = float(shown(two, "llama-chat", "ActiveEnterTimestampMonotonic")["ActiveEnterTimestampMonotonic"])
    figure("reboot: start of systemd to a ready server on Debian 13, s", round((ready - manager) / 1e6, 2))


def boot_of(host):
    """What differs after a reboot, or nothing while there is no host. All hosts share the kernel's boot id."""
    try:
        return host.check_output("systemctl show --property=UserspaceTimestampMonotonic")
    except RuntimeError:  # no ssh
        return ""
