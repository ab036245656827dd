# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong, and how an instance comes back, or says why it does not."""

from __future__ import annotations

import json

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import besideunit, definition, unit
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.cmdline import Command
from hosts import (
    INSTANCES,
    KEY,
    ROOT,
    answers,
    converge,
    cured,
    drop_in,
    journal,
    kill,
    module,
    pid_of,
    put,
    quick_watchdog,
    reason,
    served,
    shown,
    wait_until,
)

MODEL = f"{ROOT}/models/builtin/tiny.gguf"
THIEF = "import socket, time; s = socket.create_server(('127.0.0.1', 8080)); time.sleep(600)"


def bare_unit(host, port):
    """A bare unit: the command of chat on another port, Restart=always and nothing else."""
    text = host.check_output("cat /etc/systemd/system/llama-chat.service").replace("\\\n", "")
    command = next(line for line in text.splitlines() if line.startswith("ExecStart=")).replace("8080", str(port))
    return f"[Service]\nRestart=always\n{command}\n"


def test_kill_9_costs_little_more_than_with_a_bare_unit(two, figure):
    put(two, "/run/systemd/system/bare.service", bare_unit(two, 8095))
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
    assert seconds < 140  # on a machine at rest a fifth of it
    assert '"verdict": "cured"' in journal(one, "llama-watchdog@chat")


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
    kill(two)
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
        kill(two)
        wait_until(lambda: said in str(reason(two)))
    finally:
        two.check_output(f"mv {MODEL}.away {MODEL}")
    wait_until(lambda: served(two) == 200, 30)


def test_a_memory_limit_ends_it_and_the_reason_says_so(two):
    two.check_output("systemctl reset-failed llama-chat")
    wait_until(lambda: served(two) == 200, 30)
    undo = drop_in(two, "llama-chat.service", "[Service]\nMemoryMax=4M\nMemorySwapMax=0\n")
    try:
        kill(two)
        wait_until(lambda: "memory" in str(reason(two)))
    finally:
        undo()
    wait_until(lambda: served(two) == 200, 90)


def test_a_full_log_disk_stops_no_server(two):
    folder = two.check_output("ls -d /var/log/journal /run/log/journal 2>/dev/null | head -1")
    before = pid_of(two)
    two.check_output(
        f"mount -t tmpfs -o size=64k none {folder}; dd if=/dev/zero of={folder}/full bs=1k 2>/dev/null; true"
    )
    try:
        two.check_output("systemctl restart systemd-journald")
        assert [served(two) for _again in range(5)] == [200] * 5
        assert pid_of(two) == before
        kill(two)
        wait_until(lambda: served(two) == 200, 30)
    finally:
        two.check_output(f"umount {folder} && systemctl restart systemd-journald")


LATE = "[Mount]\nWhat={}\nWhere=/srv/late\n{}\n"


def test_a_model_whose_mount_comes_late_is_served_then(two):
    """At its start the disk was not there: systemd does not try again, the watchdog does."""
    item = definition.read({"name": "late", "model": "tiny", "port": 8096})
    argv = (f"{ROOT}/current/bin/llama-server", "--model", "/srv/late/tiny.gguf", "--port", "8096", "--ctx-size", "512")
    facts = {"Schema": "1", "Instance": "late", "Kind": "server", "URL": item.url, "Build": "none", "Model": "tiny"}
    launch = unit.Launch(item, Command({}, argv), facts, ("/srv/late",), f"{ROOT}/libexec/llama-probe", 20)
    files = {
        "llama-late.service": unit.render(launch, "system", 257, ["render", "video"]),
        "llama-watchdog@late.service": besideunit.watchdog(launch, "system"),
        "llama-watchdog@late.timer": besideunit.timer("late").replace("=30", "=2"),
        "srv-late.mount": LATE.format("nothing", "Type=no-such-kind"),
    }
    for name, text in files.items():
        put(two, f"/etc/systemd/system/{name}", text)
    two.check_output(f"mkdir -p /srv/late && install -m 644 {MODEL} /srv/models && systemctl daemon-reload")
    try:
        assert two.run("systemctl start llama-late").rc != 0
        assert shown(two, "llama-late", "ActiveState")["ActiveState"] == "inactive"
        put(two, "/etc/systemd/system/srv-late.mount", LATE.format("/srv/models", "Options=bind"))
        two.check_output("systemctl daemon-reload")
        wait_until(lambda: served(two, 8096) == 200, 60)
        assert '"verdict": "retried"' in journal(two, "llama-watchdog@late")
    finally:
        two.run("systemctl stop llama-late llama-watchdog@late.timer srv-late.mount")
        two.run("rm /etc/systemd/system/*late.*; systemctl daemon-reload; systemctl reset-failed")


CRASHES = """
import json, os, signal, subprocess, time
killed, refused = set(), 0
while len(killed) + refused < 200:
    pid = int(subprocess.check_output(["systemctl", "show", "--property=MainPID", "--value", "llama-chat"]))
    if pid and pid not in killed:
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)
    elif not pid:
        refused += subprocess.run(["systemctl", "start", "llama-chat"], capture_output=True).returncode != 0
print(json.dumps([len(killed), refused]))
"""


def test_two_hundred_crashes_in_a_row_end_in_a_clear_state(two, figure):
    """Killed whenever it runs, started by hand whenever it does not. Its pauses are shorter, as a user may want."""
    undo = drop_in(two, "llama-chat.service", "[Service]\nRestartSec=10ms\nRestartSteps=0\n")
    two.check_output("systemctl reset-failed llama-chat")
    try:
        killed, refused = json.loads(two.check_output("timeout 300 python3 -c %s", CRASHES))
        figure("200 crashes in a row: processes that were started / starts that were refused", f"{killed} / {refused}")
        assert killed <= 11  # the one that ran, and the ten starts of the limit
        assert shown(two, "llama-chat", "ActiveState", "MainPID") == {"ActiveState": "failed", "MainPID": "0"}
        two.check_output("systemctl start llama-watchdog@chat.service")  # the watchdog leaves it so
        found = module(two, "llama_instance_info", names=["chat"])["instances"]["chat"]
        assert (found["state"], found["pid"], found["residency"]) == ("failed", 0, "unknown")
        assert "9" in reason(two) or "SIGKILL" in reason(two), reason(two)
    finally:
        undo()
    assert converge(two)["instances"]["chat"]["actions"] == ["start"]
    assert served(two) == 200


def test_a_storm_of_crashes_by_itself_ends_with_the_reason_from_its_log(one):
    undo = drop_in(one, "llama-chat.service", "[Service]\nRestartSec=50ms\n")
    one.check_output(f"systemctl reset-failed llama-chat; mv {MODEL} {MODEL}.away")
    try:
        kill(one)
        wait_until(lambda: shown(one, "llama-chat", "ActiveState")["ActiveState"] == "failed", 30)
        assert int(shown(one, "llama-chat", "NRestarts")["NRestarts"]) <= 12
        assert "cannot be opened" in reason(one)
        assert "failed" in module(one, "llama_instance_info", names=["chat"])["instances"]["chat"]["detail"]
    finally:
        one.check_output(f"mv {MODEL}.away {MODEL}")
        undo()
    assert converge(one)["instances"]["chat"]["actions"] == ["start"]
    assert served(one, key=KEY) == 200


def test_the_pauses_between_crashes_grow_where_systemd_can(two):
    wanted = {"RestartUSec": "100ms", "RestartSteps": "6", "RestartMaxDelayUSec": "1min"}
    assert shown(two, "llama-chat", *wanted) == wanted


def test_crashes_of_long_ago_make_no_pause_longer(two):
    """systemd counts them until somebody starts the service by hand; the watchdog has it forget them."""
    path = "/run/llama-watchdog/llama-watchdog-chat.json"
    old = kill(two)
    wait_until(lambda: pid_of(two) not in (0, old) and served(two) == 200, 90)
    two.check_output("systemctl start llama-watchdog@chat")
    assert int(shown(two, "llama-chat", "NRestarts")["NRestarts"]) > 0
    seen = json.loads(two.check_output("cat %s", path))
    put(two, path, json.dumps({**seen, "since": seen["since"] - 600}))  # so long it has run since
    two.check_output("systemctl start llama-watchdog@chat")
    assert shown(two, "llama-chat", "NRestarts") == {"NRestarts": "0"}


def test_all_come_back_after_a_reboot(one, two, figure):
    before = {host: boot_of(host) for host in (one, two)}
    put(
        two,
        "/etc/systemd/system/bare.service",
        bare_unit(two, 8095) + f"ExecStartPost={ROOT}/libexec/llama-probe "
        "http://127.0.0.1:8095 --wait 60\n[Install]\nWantedBy=multi-user.target\n",
    )
    two.check_output("systemctl daemon-reload; systemctl enable --quiet bare")
    for host in (one, two):
        host.check_output("systemd-run --quiet --on-active=1 --timer-property=AccuracySec=10ms systemctl reboot")
    wait_until(lambda: all(boot_of(host) not in ("", before[host]) for host in (one, two)))
    every = [({"one": one, "two": two}[name], *rest) for name, *rest in INSTANCES]
    quick = [item for item in every if item[2] != "transformers"]  # its library alone takes longer to load
    seconds = wait_until(lambda: all(answers(*item) for item in quick), 120)
    figure(f"reboot: {len(quick)} instances answer this long after their hosts do, s", round(seconds, 1))
    wait_until(lambda: all(answers(*item) for item in every), 300)
    wait_until(lambda: served(two, 8095) == 200)
    began, when = float(boot_of(two).partition("=")[2]), "ActiveEnterTimestampMonotonic"
    took = [round((float(shown(two, name, when)[when]) - began) / 1e6, 2) for name in ("llama-chat", "bare")]
    two.check_output(
        "systemctl disable --quiet --now bare; rm /etc/systemd/system/bare.service; systemctl daemon-reload"
    )
    figure("start of systemd to a ready server on Debian 13, ours / bare unit, s", " / ".join(map(str, took)))


def boot_of(host):
    """What differs after a reboot, or nothing while there is no host. All hosts share the kernel's boot id."""
    try:
        return host.check_output("systemctl show --property=UserspaceTimestampMonotonic")
    except RuntimeError:  # no ssh
        return ""
