# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every mode and every kind of endpoint under systemd: what an instance is, and that it comes back."""

from __future__ import annotations

import shlex

import pytest
from hosts import INSTANCES, ROOT, answers, kill, module, pid_of, probe, shown, wait_until


@pytest.fixture(params=INSTANCES, ids=["-".join(entry[:2]) for entry in INSTANCES])
def instance(request):
    """A host, the name, kind and port of an instance on it."""
    host, *rest = request.param
    return request.getfixturevalue(host), *rest


SHAPES = {
    "server": "tokens",
    "embedding": "dimensions",
    "rerank": "scores",
    "router": "models",
    "transformers": "scores",
}


def test_it_answers_in_the_shape_of_its_kind(instance):
    said = probe(*instance)
    assert said["ok"] and said[SHAPES[instance[2]]], said


def test_nobody_without_its_key_is_served(instance):
    host, name, _kind, _port = instance
    if host.file(f"{ROOT}/keys/{name}").exists:
        said = probe(*instance, key=False)
        assert (said["ok"], said["status"]) == (False, 401), said
    else:
        denied = shown(host, f"llama-{name}", "IPAddressDeny")["IPAddressDeny"].split()
        assert set(denied) == {"::/0", "0.0.0.0/0"}  # it is for this host alone


@pytest.mark.parametrize("name", ["one", "two"])
def test_memory_lies_where_it_was_planned(name, request):
    found = module(request.getfixturevalue(name), "llama_instance_info")["instances"]
    ours = {instance: found[instance] for where, instance, *_rest in INSTANCES if where == name}
    said = {instance: (entry["state"], entry["residency"]) for instance, entry in ours.items()}
    wanted = dict.fromkeys(ours, ("ready", "verified"))
    assert said == wanted
    for entry in ours.values():
        text = request.getfixturevalue(name).check_output("cat %s", entry["unit"])
        assert [word for word in shlex.split(entry["command_line"]) if "=" not in word and word not in text] == []


def test_the_command_is_the_one_of_its_unit(instance):
    host, name, _kind, _port = instance
    argv = host.check_output("tr '\\0' '\\n' < /proc/%s/cmdline", str(pid_of(host, f"llama-{name}"))).splitlines()
    text = host.check_output("systemctl cat %s", f"llama-{name}")
    assert [word for word in argv if word not in text] == []


def test_it_comes_back_after_kill_9(instance):
    host, name, *_rest = instance
    old = kill(host, f"llama-{name}")
    wait_until(lambda: pid_of(host, f"llama-{name}") not in (0, old) and answers(*instance), 300)
