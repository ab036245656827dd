# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the fleet say who wrote an instance and how it stands with its host."""

from __future__ import annotations

from typing import Any

from llamaops_panel.fleet import rows
from llamaops_panel.fleet.host import CONNECTED, CONNECTING, LOST, Host, Link

WANTED = {
    "llama_models": {"demo": {"source": "builtin:tiny"}},
    "llama_instances": {"chat": {"model": "demo", "port": 8080}},
    "llama_instances__panel": {"extra": {"model": "demo", "port": 8081}},
}
LOOK = {"state": "ready", "active": True, "enabled": True, "model": "demo", "devices": [], "memory": {}}


def host(state: str, **more: Any) -> Host:
    return Host("alpha", variables=WANTED, link=Link(state, error="no route"), **more)


def test_who_manages_an_instance() -> None:
    there = {"chat": LOOK, "extra": LOOK, "stray": LOOK}
    found = {row["instance"]: row for row in rows.of(host(CONNECTED, status={"instances": there}))}
    assert {name: row["managed_by"] for name, row in found.items()} == {
        "chat": "inventory",
        "extra": "panel",
        "stray": "nobody",
    }
    assert found["chat"]["reasons"] == [] and found["stray"]["reasons"]
    assert {row["host_state"] for row in found.values()} == {CONNECTED}


def test_a_host_that_said_nothing_yet_is_no_error() -> None:
    assert {row["state"] for row in rows.of(host(CONNECTING))} == {rows.UNKNOWN}


def test_an_inventory_that_makes_no_sense_is_told_at_once() -> None:
    wrong = Host("alpha", variables={"llama_instances": {"chat": {"prot": 1}}}, link=Link(CONNECTING))
    assert [row["state"] for row in rows.of(wrong)] == ["error"]


def test_a_lost_host_says_why() -> None:
    first, *_others = rows.of(host(LOST, status={"instances": {}}))
    assert first["state"] == "unreachable" and "no route" in first["reasons"][0]
