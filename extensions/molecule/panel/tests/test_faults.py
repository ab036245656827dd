# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong between a browser, the panel and its hosts. What needs no host of its own stands in
tests/integration/panel: a database that cannot be used, wrong logins, hostile names, clocks."""

from __future__ import annotations

import json
import uuid

import pytest
from fixtures.panel_browser import Person, wait_until
from lab import HOSTS, kill_streams, main_process, say, servers, sh, written
from playwright.sync_api import expect

HOSTILE = ("\x1b[31m<b>red</b>\x1b[0m <img src=x onerror=alert(1)>", "y" * (1 << 20), "the last line")
TAKES_A_PORT = "import socket, time; held = socket.create_server(('127.0.0.1', 8099)); time.sleep(120)"

ASKS_HEALTH = "import urllib.request as ask; print(ask.urlopen('http://127.0.0.1:8080/health', timeout=20).read())"


def test_a_host_that_is_gone_is_said_so_and_comes_back(wide):
    before = servers("three")
    wide.at("/hosts/three")
    expect(wide.state).to_have_text("connected")
    sh("three", "systemctl", "stop", "ssh.socket", "ssh.service", check=False)
    kill_streams("three")
    try:
        expect(wide.state).to_have_text("lost", timeout=60_000)
        expect(wide.content.locator(".notice").first).to_be_visible()
        wide.at("/")
        expect(wide.row("What needs a human", "three", "not connected")).to_be_visible()
        wide.at("/hosts/three")
    finally:
        sh("three", "systemctl", "start", "ssh.service")
    expect(wide.state).to_have_text("connected", timeout=120_000)
    assert servers("three") == before != {}


def test_a_killed_panel_finds_its_job_again_and_no_instance_notices(wide, panel):
    before = {host: servers(host) for host in HOSTS}
    page = wide.at("/instances/one/chat")
    expect(wide.state).to_have_text("ready")
    wide.press("Restart")
    job = wide.begin()
    expect(page.locator(".top [role=status]")).to_have_text("live")
    panel.kill()
    expect(page.locator(".top [role=status]")).to_have_text("live", timeout=60_000)
    wide.at(f"/jobs/{job}")
    wide.ends()
    expect(page.locator(".lines .line").first).to_contain_text("▸")
    expect(page.locator(".lines .line").last).to_contain_text("end:")
    told = page.request.get(f"{panel.base}/api/v1/jobs/{job}/events").text()
    counted = [json.loads(line[6:])["counter"] for line in told.splitlines() if line.startswith("data: ")]
    assert counted == list(range(1, len(counted) + 1)) and len(counted) > 10, "an event is missing, or told twice"
    after = {host: servers(host) for host in HOSTS}
    assert after["one"].pop("llama-chat.service") != before["one"].pop("llama-chat.service"), "it was to restart"
    assert after == before


def test_of_two_people_who_edit_one_instance_the_second_is_told(wide, browser, panel):
    other = Person(browser, panel.base, "narrow")
    other.log_in()
    second = other.at("/instances/two/shared/edit")
    first = wide.at("/instances/two/shared/edit")
    first.get_by_label("Parallel requests").fill("2")
    wide.press("Preview")
    wide.apply()
    second.get_by_label("Parallel requests").fill("3")
    other.press("Preview")
    expect(other.content).to_contain_text("Nothing was written")
    assert written("two")["shared"]["parallel"] == 2
    other.press("Take the newer one into the form")
    expect(second.get_by_label("Parallel requests")).to_have_value("2")
    other.context.close()


def test_a_preview_that_fails_says_why_and_cannot_be_applied(wide):
    page = wide.at("/hosts/three/new")
    page.get_by_label("Name", exact=True).fill("taken")
    page.get_by_label("Model", exact=True).fill("no-such-model")
    wide.press("Preview")
    dialog = page.locator(".q-dialog")
    expect(dialog.locator(".notice.tone-error").last).to_contain_text("no-such-model", timeout=90_000)
    expect(dialog.get_by_role("button", name="Apply", exact=True)).to_be_disabled()
    dialog.get_by_role("button", name="Discard").click()
    assert "taken" not in written("three")


@pytest.fixture
def port_8099():
    """`take()`: somebody else listens at that port of `three`, until the end of the test."""
    yield lambda: sh("three", "systemd-run", "--quiet", "--unit=taker", "/usr/bin/python3", "-c", TAKES_A_PORT)
    sh("three", "systemctl", "stop", "taker", check=False)


def test_a_playbook_that_fails_half_way_says_why_and_what_served_goes_on(wide, port_8099):
    before = main_process("three", "llama-frail")
    page = wide.at("/instances/three/frail/edit")
    page.get_by_label("Port", exact=True).fill("8099")
    wide.press("Preview")
    expect(page.locator(".q-dialog .notice.tone-ok")).to_be_visible(timeout=90_000)
    port_8099()
    wait_until(lambda: ":8099" in sh("three", "ss", "-Hltn"))
    wide.apply("failed")
    expect(wide.content).to_contain_text("wants port 8099, which process")
    wide.at("/instances/three/frail")
    assert main_process("three", "llama-frail") == before
    assert '"ok"' in sh("three", "python3", "-c", ASKS_HEALTH)


def test_hostile_lines_of_a_log_are_text_and_bounded(wide):
    for line in HOSTILE:
        say("one", "llama-chat", line)
    page = wide.at("/logs?host=one&instance=chat")
    lines = page.locator(".lines .line")
    expect(lines.filter(has_text="the last line").last).to_be_visible()
    assert lines.filter(has_text="<img src=x").last.inner_text().endswith("<b>red</b> <img src=x onerror=alert(1)>")
    assert page.locator(".lines img, .lines b").count() == 0
    longest = "Math.max(...[...document.querySelectorAll('.line')].map((line) => line.textContent.length))"
    assert 4000 < page.evaluate(longest) < 5000
    starts = lines.filter(has_text="listening on")
    before = starts.count()
    sh("one", "systemctl", "restart", "llama-chat")
    wait_until(lambda: starts.count() > before)


def test_a_stream_that_is_cut_goes_on_without_a_gap(wide):
    mark = f"mark {uuid.uuid4().hex[:8]} "  # of this run alone
    page = wide.at("/logs?host=one&instance=chat")
    marks = page.locator(".lines .line").filter(has_text=mark)
    say("one", "llama-chat", f"{mark}0")
    expect(marks).to_have_count(1)
    kill_streams("one")
    for number in range(1, 6):
        say("one", "llama-chat", f"{mark}{number}")
    expect(marks.last).to_contain_text(f"{mark}5", timeout=60_000)
    shown = [text.rpartition(" ")[2] for text in marks.all_inner_texts()]
    assert shown == [str(number) for number in range(6)], "a line is missing, or shown twice"
