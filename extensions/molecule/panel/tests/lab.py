# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the lab, the inventory that an operator has of them, and the panel on its own host."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from fixtures.panel_browser import PASSWORD, USER, wait_until

REPOSITORY = Path(__file__).resolve().parents[4]
LAB_SH = os.environ.get("LAB_SH", "")
DESK, HOSTS = "desk", ("one", "two", "three")
PORT = 8790
# files on `desk`, which an operator has put there
INVENTORY, KEY, CERTIFICATE, CERTIFICATE_KEY = "/srv/inventory", "/srv/key", "/srv/cert.pem", "/srv/key.pem"
OWNER = "llama-panel"


def sh(host: str, *argv: str, check: bool = True, typed: str | None = None) -> str:
    """What a command in a host says."""
    pipes = {"capture_output": True, "text": True}
    done = subprocess.run([LAB_SH, "sh", host, *argv], check=False, input=typed, timeout=60, **pipes)
    assert done.returncode == 0 or not check, f"{host}: {argv}: {done.stdout}{done.stderr}"
    return done.stdout


def lab() -> dict[str, Any]:
    """The hosts of the lab as an inventory."""
    said = subprocess.run([LAB_SH, "inventory"], check=True, capture_output=True, text=True).stdout
    return yaml.safe_load(said)["all"]


def listening(host: str) -> set[str]:
    """Every socket of a host that waits for others: protocol and address."""
    rows = [line.split() for line in sh(host, "ss", "-Hlntu").splitlines()]
    return {f"{row[0]} {row[4]}" for row in rows}


def kill_streams(host: str) -> None:
    """End what streams a host to the panel, from below."""
    for pid in sh(host, "pgrep", "-f", "libexec/llama-host", check=False).split():
        sh(host, "kill", "-KILL", pid, check=False)


def say(host: str, unit: str, line: str) -> None:
    """A line in the log of a unit, as the journal keeps what is told of it."""
    sh(host, "logger", "--journald", typed=f"MESSAGE={line}\nOBJECT_SYSTEMD_UNIT={unit}.service\nPRIORITY=6\n")


def main_process(host: str, unit: str) -> str:
    return sh(host, "systemctl", "show", "--value", "--property", "MainPID", unit).strip()


def servers(host: str) -> dict[str, str]:
    """Process by name of each instance of a host."""
    units = sh(host, "systemctl", "list-units", "--plain", "--no-legend", "--state=running", "llama-*.service")
    names = [line.split()[0] for line in units.splitlines()]
    # beside them a build is asked for its devices now and then, for a moment
    return {name: main_process(host, name) for name in names if not name.startswith("llama-devices-")}


def owned(path: str, text: str) -> None:
    """A file of the panel's user on `desk`."""
    sh(DESK, "install", "-D", "-m", "600", "/dev/stdin", path, typed=text)
    sh(DESK, "chown", OWNER, path)


def written(host: str) -> dict[str, Any]:
    """What the panel's own file says of the instances of a host."""
    said = yaml.safe_load(sh(DESK, "cat", f"{INVENTORY}/host_vars/{host}/llama_panel.yml"))
    found: dict[str, Any] = said["llama_instances__panel"]
    return found


@dataclass(frozen=True)
class Desk:
    """The host of the panel, and how it is reached."""

    address: str
    certificate: str

    @property
    def base(self) -> str:
        return f"https://{self.address}:{PORT}"

    def lay_out(self, folder: Path, endpoint: str, key: str) -> None:
        """What an operator puts there first: a user, an inventory that it may write, and its keys."""
        sh(DESK, "useradd", "--system", "--home-dir", f"/var/lib/{OWNER}", "--shell", "/usr/sbin/nologin", OWNER)
        for name, text in inventory(endpoint).items():
            owned(f"{INVENTORY}/{name}", text)
        sh(DESK, "chown", "-R", OWNER, INVENTORY)
        owned(KEY, Path(key).read_text())
        sh(DESK, "install", "-m", "600", "/dev/stdin", CERTIFICATE, typed=self.certificate)
        sh(DESK, "install", "-m", "600", "/dev/stdin", CERTIFICATE_KEY, typed=(folder / "key.pem").read_text())

    def install(self, folder: Path) -> None:
        """By the playbook."""
        (folder / "password").write_text(f"{PASSWORD}\n")
        (folder / "hosts.yml").write_text(yaml.safe_dump({"all": lab()}))
        given = {
            "llama_hosts": DESK,
            "llama_panel_inventory": [INVENTORY],
            "llama_panel_address": self.address,
            "llama_panel_tls_certificate": CERTIFICATE,
            "llama_panel_tls_key": CERTIFICATE_KEY,
            "llama_panel_private_key": KEY,
            "llama_panel_admin": USER,
            "llama_panel_admin_password_file": str(folder / "password"),
        }
        words = ["ansible-playbook", "-i", str(folder / "hosts.yml"), "-e", json.dumps(given)]
        argv = [*words, str(REPOSITORY / "playbooks" / "panel.yml")]
        done = subprocess.run(
            argv, check=False, text=True, timeout=300, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert done.returncode == 0, done.stdout[-3000:]

    def kill(self) -> None:
        """End it as if it had crashed; systemd starts another one."""
        before = main_process(DESK, "llama-panel")
        sh(DESK, "systemctl", "kill", "--kill-whom=main", "--signal=KILL", "llama-panel")
        wait_until(lambda: main_process(DESK, "llama-panel") not in (before, "0"))


def inventory(endpoint: str) -> dict[str, str]:
    """Files by name: hosts, what holds for all, what the operator wrote of one, what the panel wrote before."""
    hosts = {name: lab()["hosts"][name] for name in HOSTS}
    everybody = {
        "ansible_user": "root",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        "llama_models": {"tiny": {"source": "builtin:tiny"}},
        "llama_models_endpoint": endpoint,
    }
    small = {"model": "tiny", "ctx_size": 512}
    by_panel = {
        "two": {"shared": {**small, "port": 8080}},
        "three": {"frail": {**small, "port": 8080}, "old": {**small, "port": 8081}},
    }
    return {
        "hosts.yml": yaml.safe_dump({"all": {"hosts": hosts}}),
        "group_vars/all.yml": yaml.safe_dump(everybody),
        "host_vars/one/mine.yml": "# written by the operator\nllama_instances:\n  chat: {model: tiny, port: 8080}\n",
        **{
            f"host_vars/{host}/llama_panel.yml": yaml.safe_dump({"llama_instances__panel": held})
            for host, held in by_panel.items()
        },
    }
