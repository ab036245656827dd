# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ends of it: a host that fails while others wait, and no front any more."""

from __future__ import annotations

import json
import os
import subprocess

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


def test_the_front_goes_with_the_last_instance_that_asks_for_it(one):
    status, said = deploy("--limit", "one", "-e", json.dumps({"llama_instances": {"chat": {"port": 18080}}}))
    assert status == 0, said
    assert one.run("systemctl list-unit-files --no-legend 'llama-front*' || true") == ""
    assert not one.host.file("/opt/llama/front").exists
    assert "0.0.0.0:8080" not in one.run("ss -Hltn")
    assert one.get("http://127.0.0.1:9000/") == (200, "the site")
    assert one.show("llama-chat", "ActiveState") == "active"
