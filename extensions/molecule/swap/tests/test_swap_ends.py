# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ends of it: a host that fails while others wait, and no front any more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.fleet import exports

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "tests"))
from fixtures.exported_fleet import rows

BUILD = os.environ["LAB_BUILD_ID"]
HANGS = BUILD[:-8] + "dddddddd"
PLAYBOOK = "llamaops.llama_cpp.deploy"


def deploy(*words):
    """Run the playbook on the hosts of the lab."""
    argv = ["ansible-playbook", "-i", os.environ["MOLECULE_INVENTORY_FILE"], PLAYBOOK, *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_host_that_fails_ends_the_roll(one, two):
    one.converge()
    two.converge()
    before = [host.run("cat /etc/systemd/system/llama-chat.service") for host in (one, two)]
    pid = two.show("llama-chat", "MainPID")
    chat = {"port": 18080, "front": {"port": 8080}, "build": HANGS, "start_timeout": 3}
    status, said = deploy("-e", json.dumps({"llama_instances": {"chat": chat}}))
    assert status != 0 and "did not come up" in said
    assert [host.run("cat /etc/systemd/system/llama-chat.service") for host in (one, two)] == before
    assert two.show("llama-chat", "MainPID") == pid


def test_haproxy_reads_the_backends_of_a_fleet(one, tmp_path):
    """Those of the export, behind a frontend of the site; real names, TLS, IPv6 and all."""
    text = exports.haproxy(rows())
    assert "[2001:db8::7]:8081" in text and "ssl verify" in text and "llama-big_one" in text
    names = [line.split()[1] for line in text.splitlines() if line.startswith("backend ")]
    site = "defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
    site += f"frontend site\n  bind 127.0.0.1:9001\n  default_backend {names[0]}\n"
    for name, content in (("site", site), ("export", text)):
        one.run("printf %%s %s > %s", content, f"/run/{name}.cfg")
    one.run("haproxy -c -q -f /run/site.cfg -f /run/export.cfg")


def test_a_new_entry_takes_port_and_memory_of_one_that_left(two):
    """There is memory for one server only, so that the old one has to be gone from the plan of the new one."""
    old = two.host.ansible.get_variables()["llama_instances"]["chat"]
    entry = {**two.host.ansible.get_variables()["llama_instances_defaults"], **old, "front": None, "keys": []}
    arguments = {"root": "/opt/llama", "instances": [{"name": "other", **entry}], "prune": "stop"}
    made = two.host.ansible("llamaops.llama_cpp.llama_instance", json.dumps(arguments), check=False)
    assert made["instances"]["chat"]["actions"] == ["stop", "disable"], made
    assert two.show("llama-chat", "ActiveState") == "inactive" and two.show("llama-other", "ActiveState") == "active"
    arguments = {"root": "/opt/llama", "instances": [], "purge": True}
    two.host.ansible("llamaops.llama_cpp.llama_instance", json.dumps(arguments), check=False)


def test_the_slots_of_a_front_are_those_of_the_plan_over_a_reload(one):
    chat = {"port": 18080, "front": {"port": 8080, "bind": "public"}, "parallel": "auto"}
    for _time in range(2):
        status, said = deploy("--limit", "one", "-e", json.dumps({"llama_instances": {"chat": chat}}))
        assert status == 0, said
    assert "changed=0" in said
    slots = one.props()["total_slots"]
    assert one.limits()["main"] == str(slots) and f" maxconn {slots}\n" in one.run("cat /opt/llama/front/haproxy.cfg")
    one.run("systemctl reload llama-front")
    assert one.limits()["main"] == str(slots)


def test_the_front_goes_with_the_last_instance_that_asks_for_it(one):
    status, said = deploy("--limit", "one", "-e", json.dumps({"llama_instances": {"chat": {"port": 18080}}}))
    assert status == 0, said
    assert one.run("systemctl list-unit-files --no-legend 'llama-front*' || true") == ""
    assert not one.host.file("/opt/llama/front").exists
    assert "0.0.0.0:8080" not in one.run("ss -Hltn")
    assert one.get("http://127.0.0.1:9000/") == (200, "the site")
    assert one.show("llama-chat", "ActiveState") == "active"
