# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server is replaced while twenty requests a second come: none fails, whatever becomes of the change."""

from __future__ import annotations

import os
import threading
import time

import pytest

BUILD = os.environ["LAB_BUILD_ID"]
OTHER, HANGS = BUILD[:-8] + "11111111", BUILD[:-8] + "dddddddd"
SECOND = "/opt/llama/models/builtin/second.gguf"
WAYS = [("one", "beside"), ("two", "in_place")]


@pytest.fixture(params=WAYS, ids=[way for _host, way in WAYS])
def case(request):
    """A host, and how a server is replaced there."""
    name, way = request.param
    return request.getfixturevalue(name), way


def test_the_front_is_a_service_of_its_own(one, two, figure):
    for host in (one, two):
        host.run("haproxy -c -q -f /opt/llama/front/haproxy.cfg")
        assert host.show("llama-front", "ActiveState") == "active"
        figure(f"HAProxy of {host.name}", host.run("haproxy -v").split()[2])
    listening = {line.split()[3] for line in one.run("ss -Hltn").splitlines()}
    mine = {place for place in listening if place.rpartition(":")[2] not in ("22", "53", "5355")}
    assert mine == {"0.0.0.0:8080", "127.0.0.1:18080", "127.0.0.1:9000"}
    assert one.get("http://127.0.0.1:9000/") == (200, "the site")
    assert two.show("haproxy", "ActiveState") == "inactive" and two.show("haproxy", "UnitFileState") == "disabled"
    assert one.get("http://127.0.0.1:8080/props")[0] == 401


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("model", {"model": SECOND}),
        ("flags", {"model": SECOND, "parallel": 4}),
        ("build", {"model": SECOND, "parallel": 4, "build": OTHER}),
    ],
)
def test_a_swap_costs_waiting_and_no_errors(case, what, changes, figure):
    host, way = case
    host.run(f"cp -n /opt/llama/models/builtin/tiny.gguf {SECOND}")
    before = host.show("llama-chat", "MainPID")
    with host.asked() as requests:
        result = host.converge(**changes)
    assert "instances" in result, result
    chat = result["instances"]["chat"]
    figure(f"swap of {what}, {way}", {key: requests[key] for key in ("count", "longest", "median")})
    assert (chat["change"], chat["actions"]) == (way, ["write", "restart"]), chat["change_reason"]
    assert requests["failed"] == [] and requests["count"] > 40
    assert host.show("llama-chat", "MainPID") not in (before, "0")
    props = host.props()
    assert (props["model_path"], props["total_slots"]) == (SECOND, changes.get("parallel", 2))
    assert BUILD in chat["build_id"] or what == "build"
    assert host.limits()["main"] == str(changes.get("parallel", 2))
    assert host.units() == ["llama-chat.service"]


def test_a_build_that_hangs_is_taken_back(case, figure):
    host, way = case
    with host.asked() as requests:
        result = host.converge(build=HANGS, start_timeout=3)
    figure(f"failed swap, {way}", {key: requests[key] for key in ("count", "longest", "median")})
    assert "did not come up" in result["msg"] and result["restored"]
    assert ("serves on" if way == "beside" else "runs again") in result["msg"]
    assert requests["failed"] == []
    assert host.units() == ["llama-chat.service"]
    assert host.show("llama-chat", "ActiveState") == "active"


def test_a_model_that_does_not_fit_is_refused_before_anything_changes(case):
    host, _way = case
    before = host.show("llama-chat", "MainPID")
    result = host.converge(ctx_size=1 << 29)
    assert "does not fit" in result["msg"] and "GiB" in result["msg"]
    assert host.show("llama-chat", "MainPID") == before


def test_a_module_that_is_killed_loses_nothing_and_the_next_run_ends_its_work(case, figure):
    host, way = case
    unit, actions = ("llama-chat--next", ["admit"]) if way == "beside" else ("llama-chat", ["write", "start"])
    host.converge()
    with host.asked() as requests:
        thread = threading.Thread(target=host.converge, kwargs={"build": HANGS})
        thread.start()
        host.run(f"until [ $(systemctl is-active {unit}) = activating ]; do sleep 0.1; done")
        # the module has the build in its plan; its ssh session ends with it
        host.run('kill -9 $(python3 -c \'import json;print(json.load(open("/opt/llama/.lock"))["pid"])\')')
        thread.join()
        time.sleep(1)
        assert unit + ".service" in host.units()
        looked = host.converge(check=True)
        result = host.converge()
    figure(f"killed and run again, {way}", {key: requests[key] for key in ("count", "longest", "median")})
    assert looked["instances"]["chat"]["actions"] == result["instances"]["chat"]["actions"] == actions
    assert requests["failed"] == []
    assert host.units() == ["llama-chat.service"]
    assert not host.converge()["changed"]


def test_requests_that_were_left_waiting_are_let_go_on(one, figure):
    with one.asked() as requests:
        one.asks_front("set server llama-chat/main state maint")
        time.sleep(1)
        assert one.converge(check=True)["instances"]["chat"]["actions"] == ["admit"]
        assert one.converge()["changed"]
    figure("held by a run that was killed", {key: requests[key] for key in ("count", "longest")})
    assert requests["failed"] == [] and requests["longest"] > 1
    assert not one.converge()["changed"]
