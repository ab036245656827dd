# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Login limits, tickets, device cookies, passwords and headers: the pure parts of access."""

from __future__ import annotations

import secrets

import pytest
from llamaops_panel.access import devices, headers, login, passwords
from llamaops_panel.access.limits import FORGOTTEN, FREE, KEPT, LONGEST, LoginLimits
from llamaops_panel.access.tickets import KEPT as OPEN
from llamaops_panel.access.tickets import LIFE, Tickets


def tries(limits: LoginLimits, seconds: float, name: str, address: str, device: str | None = None) -> int:
    """How many tries somebody gets who tries ten times a second."""
    made = 0
    for tenth in range(int(seconds * 10)):
        if limits.wait(name, address, device, tenth / 10) == 0:
            limits.failed(name, address, device, tenth / 10)
            made += 1
    return made


def test_who_guesses_gets_few_tries_and_never_waits_longer_than_a_minute():
    limits = LoginLimits()
    assert tries(limits, 1000, "ann", "192.0.2.1") < FREE + 6 + 1000 / LONGEST + 1
    assert 0 < limits.wait("ann", "192.0.2.1", None, 1000) <= LONGEST
    assert limits.wait("ann", "192.0.2.1", None, 1000 + FORGOTTEN) == 0


@pytest.mark.parametrize(
    ("name", "address", "free"),
    [
        ("ann", "198.51.100.7", False),  # the same name from elsewhere
        ("bob", "192.0.2.1", False),  # another name from the same address
        ("bob", "198.51.100.7", True),  # somebody else elsewhere
        ("bob", "2001:db8:1:2::7", False),  # another address of the same network
        ("bob", "2001:db8:1:3::7", True),
    ],
)
def test_names_and_networks_are_limited_each(name, address, free):
    limits = LoginLimits()
    for _try in range(10):
        limits.failed("ann", "192.0.2.1", None, 0.0)
        limits.failed("eve", "2001:db8:1:2::1", None, 0.0)
    assert (limits.wait(name, address, None, 1.0) == 0) is free


def test_a_known_device_has_tries_of_its_own_whatever_others_do():
    limits = LoginLimits()
    for number in range(10_000):
        limits.failed("ann", f"10.0.{number >> 8}.{number & 255}", None, 0.0)
    assert limits.wait("ann", "203.0.113.9", None, 1.0) > 0
    assert limits.wait("ann", "203.0.113.9", "device", 1.0) == 0
    for _try in range(10):
        limits.failed("ann", "203.0.113.9", "device", 1.0)
    assert limits.wait("ann", "203.0.113.9", "device", 1.0) > 0


def test_what_is_remembered_of_failures_is_bounded():
    limits = LoginLimits()
    for number in range(3 * KEPT):
        limits.failed(f"name{number}", secrets.token_hex(8), None, float(number))
    assert len(limits._failures) == KEPT


def test_a_ticket_opens_its_path_once_and_soon():
    tickets: Tickets[str] = Tickets()
    key = tickets.issue("/api/v1/events", "ann", 0.0)
    assert tickets.redeem(key, "/api/v1/events", 1.0) == "ann"
    assert tickets.redeem(key, "/api/v1/events", 1.0) is None
    key = tickets.issue("/api/v1/events", "ann", 0.0)
    assert tickets.redeem(key, "/api/v1/jobs/1/events", 1.0) is None
    assert tickets.redeem(key, "/api/v1/events", 1.0) is None, "tried for another path, it is used up"
    key = tickets.issue("/api/v1/events", "ann", 0.0)
    assert tickets.redeem(key, "/api/v1/events", LIFE) is None
    for _number in range(2 * OPEN):
        tickets.issue("/api/v1/events", "ann", 0.0)
    assert len(tickets._open) <= OPEN


def test_the_cookie_of_a_device_is_for_its_user_and_cannot_be_made_up():
    key = secrets.token_bytes(32)
    cookie = devices.make(key, "ann")
    assert devices.read(key, cookie, "ann")
    assert devices.read(key, cookie, "bob") is None
    assert devices.read(secrets.token_bytes(32), cookie, "ann") is None
    for wrong in (None, "", ".", "x.", ".x", cookie[:-1], cookie + "0", "\u00e4." + cookie):
        assert devices.read(key, wrong, "ann") is None


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("short-1!", "at least 12"),
        ("x" * 129, "at most 128"),
        ("llamaopsllama", "guess"),
        ("password1234", "common|guess"),
        ("ann-ann-ann-ann", "Repeat|guess"),
        ("aaaaaaaaaaaaaaaa", "Repeat|guess"),
    ],
)
def test_a_password_that_is_easy_to_guess_is_refused(password, word):
    with pytest.raises(passwords.WeakPassword, match=word):
        passwords.check(password, "ann-ann-ann")


def test_passwords_and_tokens_are_kept_as_argon2_hashes():
    stored = passwords.hashed("four unusual words, Zürich")
    assert stored.startswith("$argon2id$") and "m=65536,t=3" in stored
    assert passwords.matches(stored, "four unusual words, Zürich")
    for wrong in ("", "four unusual words, Zurich", "x" * 100_000):
        assert not passwords.matches(stored, wrong)
    assert not passwords.matches("no hash", "four unusual words, Zürich")
    assert passwords.token_matches(passwords.token_hashed("secret"), "secret")


@pytest.mark.parametrize(
    ("sent", "secure", "ours"),
    [
        ({"origin": "http://127.0.0.1:8790", "sec-fetch-site": "same-origin"}, False, True),
        ({"origin": "http://127.0.0.1:8790"}, False, True),
        ({"sec-fetch-site": "same-origin"}, False, True),
        ({}, False, False),
        ({"origin": "null"}, False, False),
        ({"origin": "https://127.0.0.1:8790"}, False, False),
        ({"origin": "http://127.0.0.1:8790"}, True, False),
        ({"origin": "https://127.0.0.1:8790"}, True, True),
        ({"origin": "http://127.0.0.1:9999"}, False, False),
        ({"origin": "http://evil.example", "sec-fetch-site": "cross-site"}, False, False),
        ({"origin": "http://127.0.0.1:8790", "sec-fetch-site": "same-site"}, False, False),
        ({"sec-fetch-site": "none"}, False, False),
    ],
)
def test_only_our_own_pages_are_ours(sent, secure, ours):
    assert headers.from_our_pages(sent, "127.0.0.1:8790", secure=secure) is ours


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:8790", True), ("[::1]:8790", True), ("localhost:8790", True), ("Panel.Example.:443", False),
        ("", False), ("evil.example", False), ("localhost.evil.example", False), ("127.0.0.1.evil.example", False),
        ("localhost@evil.example", False), ("localhost/evil", False), ("local host", False), ("[::1", False),
    ],
)  # fmt: skip
def test_a_name_that_is_not_ours_is_a_rebound_one(host, allowed):
    assert headers.host_allowed(host, frozenset({"localhost"})) is allowed
    assert headers.host_allowed("panel.example:443", frozenset({"panel.example"}))


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("/hosts/gpu01?x=1", "/hosts/gpu01?x=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/evil.example", "/"),
        ("hosts", "/"),
        ("/logout", "/"),
        ("/login?next=/", "/"),
        ("http://[", "/"),
    ],
)
def test_a_login_leads_to_our_own_pages_only(wanted, path):
    assert login.own_path(wanted) == path
