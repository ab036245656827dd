# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries that left the inventory, a host out of service, and a bundle for support, under supervisord."""

from __future__ import annotations

import socket
import tarfile

import pytest

KEY = "a-planted-key-of-the-tests"


@pytest.fixture
def other_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@pytest.fixture
def ask(site, ansible_module):
    """`ask(module, **arguments)` about the root of `site`; what was cordoned is not in the end."""
    common = {"root": str(site.root), "scope": "user", "manager": "supervisor"}

    def call(module, check=False, diff=False, **arguments):
        return ansible_module(module, {**common, **arguments}, check=check, diff=diff)

    yield call
    call("llama_cordon", state="uncordoned")


def chat(port, **more):
    return {"name": "chat", "model": "tiny", "port": port, **more}


def test_what_nobody_lists_is_reported_and_stopped(site, ask, port, other_port):
    site(chat(port), chat(other_port, name="old"))
    assert site(chat(port))["orphans"] == ["old"]
    assert ask("llama_instance_info")["instances"]["old"]["state"] == "ready"
    previewed = site(chat(port), prune="stop", check=True)
    stopped = site(chat(port), prune="stop")
    assert previewed["changed"] and stopped["instances"]["old"]["actions"] == previewed["instances"]["old"]["actions"]
    assert not site(chat(port), prune="stop")["changed"]
    found = ask("llama_instance_info")["instances"]
    assert (found["old"]["state"], found["chat"]["state"]) == ("stopped", "ready")
    assert found["chat"]["tokens_per_second"] > 0
    assert site(chat(port), prune="remove")["instances"]["old"]["actions"] == ["remove"]


@pytest.mark.parametrize(("how", "does"), [("stop", ["stop", "disable"]), ("remove", ["remove"])])
def test_a_new_entry_takes_the_port_of_one_that_left(site, port, how, does):
    site(chat(port, name="old"))
    renamed = chat(port, name=f"by-{how}")
    assert site(renamed, prune=how, check=True)["instances"]["old"]["actions"] == does
    made = site(renamed, prune=how)["instances"]
    assert (made["old"]["actions"], made[f"by-{how}"]["actions"]) == (does, ["write", "start"])
    assert not site(renamed, prune=how)["changed"]


def test_nothing_starts_on_a_cordoned_host(site, ask, port):
    site(chat(port))
    wanted = {"by": "ann", "reason": "new disk"}
    previewed = ask("llama_cordon", check=True, diff=True, **wanted)
    assert previewed["changed"] and previewed["stopped"] == ["chat"] and "new disk" in str(previewed["diff"])
    assert ask("llama_instance_info")["instances"]["chat"]["state"] == "ready"
    assert ask("llama_cordon", **wanted)["changed"] and not ask("llama_cordon", **wanted)["changed"]
    left = site(chat(port))
    assert not left["changed"] and "cordoned by ann" in " ".join(left["warnings"])
    found = ask("llama_instance_info")
    assert found["instances"]["chat"]["state"] == "stopped" and found["cordon"]["reason"] == "new disk"
    assert ask("llama_cordon", state="uncordoned", check=True)["changed"]
    assert ask("llama_cordon", state="uncordoned")["changed"]
    assert "start" in site(chat(port))["instances"]["chat"]["actions"]
    assert not site(chat(port))["changed"]


def test_a_bundle_has_what_helps_and_no_key(site, ask, port, tmp_path):
    site(chat(port, keys=["team"]), keys={"team": KEY})
    path = tmp_path / "bundle.tar.gz"
    ask("llama_support", check=True, path=str(path))
    assert not path.exists()
    made = ask("llama_support", path=str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as tar:
        texts = {item.name.partition("/")[2]: tar.extractfile(item).read().decode() for item in tar.getmembers()}
    assert set(texts) == set(made["files"])
    assert KEY not in "".join(texts.values())
    assert str(port) in texts["instances/chat.json"] and texts["logs/chat.log"].strip()
