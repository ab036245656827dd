# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A panel that its role has installed with a certificate: how one comes in, what it shows at once, and the way out."""

from __future__ import annotations

import re
import ssl

import httpx
import lab
import pytest
from fixtures.panel_browser import PASSWORD, USER, Person, wait_until
from playwright.sync_api import expect

PAGES = ("/", "/hosts/two", "/instances", "/instances/one/chat", "/builds", "/library")


def test_it_answers_with_its_certificate_and_its_cookies_are_for_tls(panel):
    trusted = ssl.create_default_context(cadata=panel.certificate)
    cookies = {}

    def logged_in():
        said = page.post("/login", data={"name": USER, "password": PASSWORD})
        cookies.update({line.partition("=")[0]: line for line in said.headers.get_list("set-cookie")})
        return said.status_code == 303

    with httpx.Client(base_url=panel.base, verify=trusted, headers={"origin": panel.base}, timeout=20) as page:
        wait_until(logged_in, 20, step=1)  # a user whom the command line has added is known within a second
    assert set(cookies) == {"__Host-llama-panel", "__Secure-llama-device"}
    assert all("; Secure" in line and "; HttpOnly" in line for line in cookies.values())
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://{panel.address}:{lab.PORT}/api/health", timeout=20)


def test_the_hosts_are_there_and_have_no_port_more(wide, ports):
    wide.at("/")
    expect(wide.content.locator(".figures")).to_contain_text("3/3", timeout=60_000)
    for host, instance in (("one", "chat"), ("two", "shared"), ("three", "old")):
        expect(wide.row("instances", instance)).to_contain_text("ready")
        assert lab.listening(host) == ports[host]


def test_pages_of_several_hosts_fit_their_width(people):
    for person in people.values():
        for path in PAGES:
            person.at(path)
            expect(person.content.locator("h1").first).to_be_visible()
            person.fits()


def test_who_logs_out_is_out(browser, panel):
    person = Person(browser, panel.base, "narrow")
    person.log_in()
    person.at("/").locator(".top").get_by_role("button", name="Log out").click()
    person.page.wait_for_url(re.compile("/login"))
    person.page.goto(panel.base + "/instances")
    person.page.wait_for_url(re.compile("/login"))
    person.context.close()
