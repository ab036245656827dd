# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placing a fleet by the real Ansible: several hosts that are this machine, each with a driver of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_runs import LOCAL, REPOSITORY, ansible

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "bench" / "planner"), str(TESTS / "unit" / "core" / "memory")]

import recorded  # noqa: E402
import sparse  # noqa: E402

PLAYBOOK = str(REPOSITORY / "playbooks" / "place.yml")
FIRST = "GPU-aaaaaaaa-0000-0000-0000-000000000000"
PARTS = ["MIG-cccccccc-0000-0000-0000-000000000000"]


def model(path: Path, name: str) -> str:
    found = recorded.models()[name]
    sparse.write(str(path), found["metadata"], recorded.unpack(found["tensors"]))
    return str(path)


class Site:
    """An inventory: hosts that are this machine, each with GPUs of its own by the stand-in for NVIDIA's library."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs = folder, 0
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", TESTS / "fixtures" / "nvml.c"], check=True
        )
        self.hosts: dict[str, dict] = {}
        self.vars = {"llama_root": str(folder / "no-root"), "llama_scope": "user"}

    def host(self, name: str, gib: int, count: int = 1, **variables: object) -> None:
        """A host whose first GPU has so many GiB; the second is divided."""
        python = self.folder / f"python-{name}"
        python.write_text(
            f"#!/bin/sh\nexport LD_LIBRARY_PATH={self.folder} FAKE_NVML_GIB={gib} FAKE_NVML_COUNT={count}\n"
            f'export FAKE_NVML_PROCESSES=0\nexec {sys.executable} "$@"\n'
        )
        python.chmod(0o755)
        self.hosts[name] = {**LOCAL, "ansible_python_interpreter": str(python), **variables}

    def place(self, *switches: str, check: bool = False):
        inventory = self.folder / "inventory.yml"
        inventory.write_text(
            json.dumps({"all": {"children": {"llama_fleet": {"hosts": self.hosts}}, "vars": self.vars}})
        )
        self.runs += 1
        argv = ["ansible-playbook", "-i", str(inventory), *switches, PLAYBOOK]
        return ansible(self.folder / f"run-{self.runs}", argv, {}, check, check, {})

    def placed(self, name: str) -> dict:
        path = self.folder / "host_vars" / name / "llama_placed.yml"
        return yaml.safe_load(path.read_text()) if path.exists() else {}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    found = Site(tmp_path)
    found.host("alpha", 24, count=2)
    found.host("beta", 80)
    chat = model(tmp_path / "chat.gguf", "llama3.1-8b")
    found.vars["llama_fleet"] = {
        "chat": {"model": chat, "port": 8080, "replicas": 2, "ctx_size": 16384},
        "tiny": {"model": "builtin:tiny", "port": 8090, "hosts": ["alpha"], "devices": {"count": 1, "name": "MIG"}},
    }
    return found


def test_a_fleet_is_placed_reviewed_and_stays(site):
    planned = site.place(check=True)
    assert planned.rc == 0, planned.output
    assert not (site.folder / "host_vars").exists()
    assert (
        f"+    - {FIRST}" in planned.output.replace("+      - ", "+    - ")
        and "llama_instances__placed" in planned.output
    )

    done = site.place()
    assert done.rc == 0, done.messages or done.output
    alpha, beta = site.placed("alpha"), site.placed("beta")
    chats = [held["llama_instances__placed"] for held in (alpha, beta)]
    assert sorted(name for held in chats for name in held if name != "tiny") == ["chat", "chat-2"]
    assert alpha["llama_instances__placed"]["tiny"]["devices"] == PARTS
    entry = beta["llama_instances__placed"].get("chat") or beta["llama_instances__placed"]["chat-2"]
    assert entry["devices"] == [FIRST] and entry["ctx_size"] == 16384 and entry["port"] == 8080
    assert "one GPU" in beta["llama_placement"][next(iter(beta["llama_placement"]))]["why"]

    # the models are needed no more: nothing of what stands is planned again
    (site.folder / "chat.gguf").unlink()
    again = site.place()
    assert again.rc == 0 and again.changed == 0, again.messages or again.output
    assert (site.placed("alpha"), site.placed("beta")) == (alpha, beta)


def test_what_is_placed_can_be_deployed(site, play):
    assert site.place().rc == 0
    merged = "{{ ['llama_instances__placed'] | llamaops.llama_cpp.merge_instances([llama_instances__placed]) }}"
    task = {"name": "Merge", "ansible.builtin.set_fact": {"merged": merged}}
    merge = {"hosts": "llama_fleet", "gather_facts": False, "tasks": [task]}
    done = play([merge], inventory=site.folder / "inventory.yml")
    assert done.rc == 0, done.output
    merged = done.result("Merge")["ansible_facts"]["merged"]
    assert merged[0]["devices"] == [FIRST]


def test_nothing_is_written_while_a_replica_has_no_place(site):
    site.vars["llama_fleet"]["chat"]["replicas"] = 3
    refused = site.place()
    assert refused.rc != 0 and "no place for chat-3" in refused.messages and not (site.folder / "host_vars").exists()
    shown = "\n".join(refused.result("Show it")["msg"])
    assert "2 hosts: a replica is there, and spread is hosts" in shown
    partly = site.place("-e", "llama_place_partial=true")
    assert partly.rc == 0 and len(site.placed("beta")["llama_instances__placed"]) == 1


def test_a_part_of_the_fleet_is_refused(site):
    refused = site.place("--limit", "alpha")
    assert refused.rc != 0 and "Run it without --limit" in refused.messages and not (site.folder / "host_vars").exists()


def test_a_host_that_does_not_answer_stops_it(site):
    site.hosts["gone"] = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    refused = site.place()
    assert refused.rc != 0 and refused.stats["gone"]["unreachable"] == 1
    assert not (site.folder / "host_vars").exists() and "Find a place" not in refused.output


def test_a_file_of_variables_that_would_be_hidden_is_kept(site):
    (site.folder / "host_vars").mkdir()
    (site.folder / "host_vars" / "beta.yml").write_text("mine: 1\n")
    refused = site.place()
    assert refused.rc != 0 and "Move the file to" in refused.output
    assert not (site.folder / "host_vars" / "beta").exists()


def test_a_mistake_is_named_with_the_nearest_word(site):
    site.vars["llama_fleet"]["chat"]["replica"] = 2
    refused = site.place()
    assert refused.rc != 0 and "Did you mean replicas" in refused.output


def test_headers_are_read_where_they_are(ansible_module, hub, tmp_path):
    path = model(tmp_path / "a.gguf", "llama3.2-1b-tied")
    sources = [
        {"name": "tiny", "source": "builtin:tiny"},
        {"name": "there", "source": path},
        {"name": "not", "source": "/no/where.gguf"},
    ]
    result = ansible_module("gguf_geometry", {"models": sources, "paths": [path, "/no/other.gguf"]}, check=True)
    assert not result["failed"] and not result["changed"], result
    assert sorted(result["geometries"]) == sorted(["tiny", "there", path])
    assert result["missing"] == ["not", "/no/other.gguf"]
    assert result["geometries"]["there"]["header"]["metadata"]["general.architecture"] == "llama"
