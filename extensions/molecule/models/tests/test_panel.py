# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel as a service: on the host that may reach a package index."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[4]
INVENTORY, LAB_SH = os.environ["MOLECULE_INVENTORY_FILE"], os.environ["LAB_SH"]
PASSWORD = "tall mirror eats nine plums"
# logs in as a browser does, and asks who it is
LOGIN = """
import json, sys, urllib.parse, urllib.request
from http.cookiejar import CookieJar
base = "http://127.0.0.1:8790"
opened = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
form = urllib.parse.urlencode({"name": "admin", "password": sys.stdin.read(), "next": "/api/v1/me"}).encode()
print(opened.open(urllib.request.Request(f"{base}/login", form, {"origin": base})).read().decode())
"""


def sh(*words, typed=""):
    """Run a command in the host without SSH."""
    return subprocess.run([LAB_SH, "sh", "one", *words], input=typed, capture_output=True, text=True, check=False)


def play(**variables):
    given = json.dumps({"llama_hosts": "one", **variables})
    argv = ["ansible-playbook", "-i", INVENTORY, "-e", given, str(REPOSITORY / "playbooks" / "panel.yml")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}  # where failures are told is a setting of Ansible
    return subprocess.run(argv, text=True, check=False, timeout=600, **pipes)


def test_it_comes_up_closed_and_stays(tmp_path):
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    given = {"llama_panel_admin_password_file": str(tmp_path / "password")}
    first = play(**given)
    assert first.returncode == 0 and PASSWORD not in first.stdout, first.stdout
    again = play(**given)
    assert re.search(r"one +: ok=\d+ +changed=0 ", again.stdout), again.stdout

    names = ("User", "KillMode", "NoNewPrivileges", "ActiveState", "CapabilityBoundingSet")
    shown = dict(
        line.split("=", 1) for line in sh("systemctl", "show", "llama-panel", "-p", ",".join(names)).stdout.split()
    )
    assert shown == {"User": "llama-panel", "KillMode": "process", "NoNewPrivileges": "yes", "ActiveState": "active",
                     "CapabilityBoundingSet": ""}  # fmt: skip
    ports = [line.split()[3] for line in sh("ss", "-Hltn").stdout.splitlines()]
    assert [port for port in ports if port.endswith(":8790")] == ["127.0.0.1:8790"]
    said = sh("python3", "-c", LOGIN, typed=PASSWORD)
    assert json.loads(said.stdout)["role"] == "admin", said
    assert sh("grep", "-rl", PASSWORD, "/etc/llama-panel", "/var/lib/llama-panel", "/etc/systemd").stdout == ""
    assert PASSWORD not in sh("journalctl", "-u", "llama-panel").stdout
    assert sh("stat", "-c", "%U %a", "/var/lib/llama-panel/panel.db").stdout == "llama-panel 600\n"


def test_it_is_not_put_before_everybody_in_the_clear():
    refused = play(llama_panel_address="0.0.0.0")
    assert refused.returncode and "llama_panel_tls_certificate" in refused.stdout, refused.stdout
