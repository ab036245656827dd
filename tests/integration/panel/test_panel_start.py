# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a panel starts, where it listens, and its command line."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.certificates import certificate
from fixtures.panel_process import PASSWORDS, PanelProcess, inventory_of


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[PanelProcess]:
    """Not started; it has the user ann and an empty inventory."""
    found = PanelProcess(tmp_path, "--inventory", str(inventory_of(tmp_path, {})))
    found.command("user", "add", "ann", "--password-file", "-", typed=f"{PASSWORDS['ann']}\n")
    yield found
    found.stop()


def test_under_tls_cookies_are_for_tls_and_sessions_outlive_a_restart(panel, tmp_path):
    cert, key = certificate(tmp_path)
    panel.scheme, panel.words = "https", (*panel.words, "--tls-certificate", str(cert), "--tls-key", str(key))
    panel.start()
    with panel.browser() as page:
        said = page.post("/login", data={"name": "ann", "password": PASSWORDS["ann"]})
        assert said.status_code == 303 and said.headers["strict-transport-security"].startswith("max-age=31536000")
        cookies = {line.partition("=")[0]: line for line in said.headers.get_list("set-cookie")}
        assert set(cookies) == {"__Host-llama-panel", "__Secure-llama-device"}
        assert all("; Secure" in line and "; HttpOnly" in line for line in cookies.values())
        assert panel.stop() == -signal.SIGTERM, "uvicorn ends as it was told, when all is closed"
        panel.start()
        assert page.get("/api/v1/me", headers={"accept": "*/*"}).json()["name"] == "ann"


def test_behind_a_proxy_it_believes_that_proxy_and_no_other(panel):
    panel.words = (*panel.words, "--behind-proxy", "--name", "panel.example")
    panel.start()
    sent = {"host": "panel.example", "origin": "https://panel.example", "x-forwarded-for": "203.0.113.7"}
    with panel.anybody(**sent) as page:
        said = page.post("/login", data={"name": "ann", "password": PASSWORDS["ann"]})
        assert said.status_code == 303 and said.headers["set-cookie"].startswith("__Host-llama-panel")
        value = said.headers["set-cookie"].split(";")[0]
        listed = page.get("/api/v1/me/sessions", headers={"cookie": value}).json()
        assert [row["address"] for row in listed] == ["203.0.113.7"]
        assert page.post("/login", headers={"origin": "http://panel.example"}).status_code == 403


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--address", "0.0.0.0"), "tls_certificate and tls_key, or say behind_proxy"),
        (("--address", "0.0.0.0", "--tls-key", "key.pem"), "go together"),
        (("--config", "absent.toml"), "cannot read the settings"),
    ],
)
def test_what_would_be_unsafe_does_not_start(panel, words, said):
    done = panel.command("serve", *words)
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr


def test_a_state_that_cannot_be_used_is_said_and_left_alone(panel):
    file = panel.state / "panel.db"
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = file.read_bytes()
    for words in (("serve", "--inventory", "x,"), ("user", "list")):
        done = panel.command(*words)
        assert done.returncode == 1 and "newer panel" in done.stderr and "Traceback" not in done.stderr
    assert file.read_bytes() == before


def test_the_command_line_keeps_users_and_tokens(panel, tmp_path):
    done = panel.command("user", "add", "bob", "--password-file", "-", typed="short\n")
    assert done.returncode == 1 and "at least 12 characters" in done.stderr
    (tmp_path / "password").write_text(f"{PASSWORDS['vic']}\n")
    said = panel.command("user", "add", "bob", "--password-file", str(tmp_path / "password"))
    assert said.stdout == "bob is viewer\n"
    assert panel.command("user", "add", "bob", "--password-file", "-", typed="x\n").returncode == 1
    assert panel.command("user", "role", "bob", "operator").stdout == "bob is operator now\n"
    token = panel.command("token", "add", "bob", "prometheus", "--days", "0").stdout.strip()
    listed = panel.command("token", "list").stdout
    assert token.split("_")[1] in listed and token.split("_")[2] not in listed and "prometheus" in listed
    assert panel.command("token", "revoke", token.split("_")[1]).returncode == 0
    assert panel.command("user", "remove", "bob").stdout == "bob is removed\n"
    assert panel.command("user", "list").stdout.split() == ["ann", "admin"]
    with sqlite3.connect(panel.state / "panel.db") as db:
        rows = db.execute("SELECT who, what, target FROM audit ORDER BY id").fetchall()
    db.close()
    assert {who for who, _what, _target in rows} == {rows[0][0]} and rows[0][0].startswith("cli:")
    assert [row[1:] for row in rows] == [
        ("user.add", "ann"), ("user.add", "bob"), ("user.role", "bob"), ("token.add", "bob"), ("token.revoke", "bob"),
        ("user.remove", "bob"),
    ]  # fmt: skip
    kept = json.dumps([str(row) for row in rows]) + (panel.state / "panel.db").read_bytes().decode("latin-1")
    assert PASSWORDS["vic"] not in kept and token.split("_")[2] not in kept
