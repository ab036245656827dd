# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a unit of ours is kept from, asked from inside; what listens; where secrets are."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import besideunit, definition, unit
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.cmdline import Command
from hosts import ROOT, converge, definitions, drop_in, journal, module, pid_of, put, served, shown, wait_until

INSIDE = Path(__file__).with_name("inside.py").read_text(encoding="utf-8")
ALLOWED = {"write its state folder", "write its private /tmp", "read its build", "read its model", "reach this host"}
WORST = {"cpu": 2.0, "gpu": 3.0}  # of systemd-analyze security: 10 is a unit without any protection
GPU = "GPU-1b9d0c39-0f4f-e8a5-4f5c-000000000001"


def gpu_launch(vendor, name="gpu"):
    """A GPU instance as the core would launch it, served by the CPU build: the lab has no GPU."""
    item = definition.read({"name": name, "model": "tiny", "port": 8090})
    argv = (f"{ROOT}/current/bin/llama-server", "--model", f"{ROOT}/models/builtin/tiny.gguf", "--port", "8090")
    command = Command({}, (*argv, "--device", "none", "--ctx-size", "512"))
    facts = {"Schema": "1", "Instance": name, "Kind": "server", "URL": item.url, "Build": "none", "Model": "tiny"}
    folders = (f"{ROOT}/models/builtin",)
    launch = unit.Launch(item, command, facts, folders, f"{ROOT}/libexec/llama-probe", 20)
    return dataclasses.replace(launch, devices=(GPU,), vendors=(vendor,))


def inside(host, text, address="192.0.2.1", port="1"):
    """Run inside.py with the protection of a unit, of this text, in the place of its server."""
    put(host, f"{ROOT}/libexec/inside.py", INSIDE, "0755")
    text = re.sub(
        r"ExecStart=(.*\\\n)*.*\n", f"ExecStart=/usr/bin/python3 {ROOT}/libexec/inside.py {address} {port}\n", text
    )
    text = re.sub(r"(ExecStartPost|ExecStartPre|Restart|Requires|After|Wants|SystemCallErrorNumber)=.*\n", r"", text)
    text = text.replace("[Service]\nType=exec", "[Service]\nType=oneshot\nSystemCallErrorNumber=EPERM")
    put(host, "/run/systemd/system/llama-inside.service", text.replace("/chat", "/inside", 0))
    host.check_output("systemctl daemon-reload && systemctl start llama-inside")
    said = host.check_output("journalctl --unit llama-inside --output=cat --no-pager").splitlines()
    host.check_output("rm /run/systemd/system/llama-inside.service && systemctl daemon-reload")
    return json.loads(next(line for line in reversed(said) if line.startswith("{")))


def test_a_server_for_this_host_can_do_nothing_else(two, one):
    two.check_output("mkdir -p /etc/llama.cpp && echo > /etc/llama.cpp/config.ini")
    address = one.check_output("hostname -I").split()[0]
    text = two.check_output("cat /etc/systemd/system/llama-chat.service")
    found = inside(two, text + "\n", address, "22")
    two.check_output("rm -r /etc/llama.cpp")
    assert {name for name, said in found.items() if said == "done"} == ALLOWED, found


def test_a_gpu_server_can_do_no_more_than_its_driver_needs(two):
    found = inside(two, unit.render(gpu_launch("amd"), "system", 257, ["render"]))
    # drivers compile at run time, and read the kernel's part of /proc
    assert {name for name, said in found.items() if said == "done"} <= ALLOWED | {"write code and run it"}, found


def test_the_protection_is_what_holds(two):
    """The same trials without any: what holds above is not the lab."""
    found = inside(two, "[Service]\nType=exec\nStateDirectory=inside\nExecStart=/bin/true\n")
    assert [name for name in ("write /etc", "see other processes", "send raw packets") if found[name] != "done"] == []
    two.check_output("rm -f /etc/inside /opt/llama/inside /var/lib/inside; hostname two")


@pytest.mark.parametrize("vendor", ["nvidia", "amd", "intel"])
def test_the_exposure_of_gpu_units_is_low(two, vendor, figure):
    put(two, "/root/llama-gpu.service", unit.render(gpu_launch(vendor), "system", 257))
    score = exposure(two.check_output("systemd-analyze security --no-pager --offline=true /root/llama-gpu.service"))
    figure(f"exposure of a unit for a GPU of {vendor}", score)
    assert score <= WORST["gpu"]


def test_the_exposure_of_cpu_units_is_low(one, two, figure):
    for host, name in ((one, "chat"), (one, "embed"), (one, "sleepy"), (two, "chat"), (two, "watchdog@chat")):
        score = exposure(host.check_output("systemd-analyze security --no-pager %s", f"llama-{name}"))
        figure(f"exposure of llama-{name}", score)
        assert score <= (WORST["gpu"] if "watchdog" in name else WORST["cpu"])


def exposure(text):
    return float(text.splitlines()[-1].split(":")[1].split()[0])


def test_a_gpu_unit_waits_for_its_gpu_and_says_what_is_wrong(two):
    """The driver's files are written by hand: the machine's boundary. llama-gpu-ready is the real one."""
    launch = gpu_launch("nvidia")
    put(two, "/etc/systemd/system/llama-gpu.service", unit.render(launch, "system", 257))
    put(two, "/etc/systemd/system/llama-gpu-ready.service", besideunit.gpu_ready(launch))
    two.check_output("mount -t tmpfs none /proc/driver && mkdir -p /proc/driver/nvidia/gpus/0000:01:00.0")
    try:
        information = f"GPU UUID: \t {GPU}\nDevice Minor: \t 0\n"
        two.check_output("printf %s > /proc/driver/nvidia/gpus/0000:01:00.0/information", information.replace("%", ""))
        two.check_output(
            "for n in nvidia0 nvidiactl nvidia-uvm; do touch /dev/$n; chmod 666 /dev/$n; done; chmod 600 /dev/nvidia0"
        )
        two.check_output("systemctl daemon-reload; systemctl start --no-block llama-gpu")
        waits = {"ActiveState": "activating", "NRestarts": "0"}
        wait_until(
            lambda: shown(two, "llama-gpu", *waits) == waits and "nvidia0 cannot be" in journal(two, "llama-gpu")
        )
        assert shown(two, "llama-gpu-ready", "ActiveState")["ActiveState"] == "active"
        two.check_output("chmod 666 /dev/nvidia0")
        wait_until(lambda: shown(two, "llama-gpu", "ActiveState")["ActiveState"] == "active", 30)
    finally:
        two.run("systemctl stop llama-gpu llama-gpu-ready; umount /proc/driver; rm -f /dev/nvidia*")
        two.run("rm /etc/systemd/system/llama-gpu*.service; systemctl daemon-reload; systemctl reset-failed")


def test_what_listens_is_what_was_declared(one, two):
    for host, declared in (
        (one, {"0.0.0.0:8080", "127.0.0.1:8081", "127.0.0.1:8082"}),
        (two, {"0.0.0.0:8085", *(f"127.0.0.1:{port}" for port in (8080, 8083, 8084, 8086, 8087, 8088, 8089))}),
    ):
        rows = [
            line.split()
            for line in host.check_output("ss --no-header --numeric --listening --tcp --udp --processes").splitlines()
        ]
        served = [row for row in rows if "llama" in row[-1] or "python" in row[-1]]  # the latter runs Transformers
        ours = {row[4] for row in served}
        # a router has its models listen too, on this host alone and with a key that it makes up
        assert declared <= ours and all(name.startswith("127.0.0.1:") for name in ours - declared)
        assert len(ours - declared) == (host == two)
        assert {row[4].rpartition(":")[2] for row in rows if row not in served} <= {"22", "ssh"}


def test_secrets_are_in_their_own_files_only(one):
    """A key of the inventory, a key that the host made, and the token of a hub."""
    call = definitions(one)
    made = module(one, "llama_instance", **call)
    secrets = {
        call["keys"]["team"]: {f"{ROOT}/keys/chat", f"{ROOT}/keys/embed"},
        one.check_output("cat %s", made["made_keys"]["own"]).strip(): {made["made_keys"]["own"], f"{ROOT}/keys/chat"},
        one.check_output("cat /root/hub-token").strip(): {"/root/hub-token"},
    }
    one.check_output("journalctl --sync")
    seen = [
        json.dumps(made),
        one.check_output("ps -eww -o args"),
        one.check_output("cat /proc/[0-9]*/environ | tr '\\0' '\\n'"),
        one.check_output("systemctl show 'llama-*'"),
        one.check_output("journalctl --no-pager --output=export --all"),
    ]
    for secret, owners in secrets.items():
        assert len(secret) > 10
        assert [text[:80] for text in seen if secret in text] == []
        holders = one.run(
            "grep -rlF --devices=skip %s /etc /opt /root /run /var /tmp /home /usr/local", secret
        ).stdout.split()
        holders = {path for path in holders if not path.startswith("/run/credentials/")}
        assert holders == owners
        for path in holders:
            assert (one.file(path).user, one.file(path).mode & 0o077) == ("root", 0)


def test_every_key_opens_and_no_other_one(one):
    own = one.check_output("cat %s", f"{ROOT}/keys/.made/own").strip()
    assert [served(one, key=key) for key in ("a-key-for-the-lab-only", own, "another-key", "")] == [200, 200, 401, 401]


def test_more_protection_waits_for_a_restart_and_restarts_nothing(two):
    """What an update of the collection does: the unit on disk is of an older one."""
    before = pid_of(two)
    two.check_output("sed -i '/^KeyringMode=/d' /etc/systemd/system/llama-chat.service && systemctl daemon-reload")
    changed = converge(two)["instances"]["chat"]
    assert (changed["actions"], changed["restart_pending"], changed["pid"]) == (["write"], True, before)
    assert shown(two, "llama-chat", "KeyringMode", "NeedDaemonReload") == {
        "KeyringMode": "private",
        "NeedDaemonReload": "no",
    }
    two.check_output("systemctl restart llama-chat")
    again = converge(two)
    assert (again["changed"], again["instances"]["chat"]["restart_pending"]) == (False, False)


def test_a_clock_that_was_set_restarts_nothing(one):
    before = pid_of(one)
    one.check_output("touch --date='+1 day' /opt/llama/keys/chat /etc/systemd/system/llama-chat.service")
    found = converge(one)
    assert (found["changed"], found["instances"]["chat"]["restart_pending"], pid_of(one)) == (False, False, before)
    one.check_output("touch /opt/llama/keys/chat /etc/systemd/system/llama-chat.service")
    drop_in(one, "llama-chat.service", "[Unit]\n")()


def test_watchdogs_go_by_a_clock_that_nobody_sets(one):
    """The lab's hosts share the clock of this machine, which no test may set."""
    timers = "--property=TimersMonotonic,TimersCalendar"
    said = one.check_output("systemctl show llama-watchdog@chat.timer %s", timers)
    assert "OnUnitInactiveUSec=30s" in said and "TimersCalendar={" not in said, said
