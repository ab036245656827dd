# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people do with the panel in a day, at 1440 and at 390 pixels; each test has an instance or a host of its own."""

from __future__ import annotations

import re

from fixtures.panel_browser import wait_until
from lab import listening, main_process, sh, written
from playwright.sync_api import expect

REPO = "owner/little-GGUF"


def test_a_plan_answers_while_one_types_and_an_instance_comes_up(wide, narrow):
    before = listening("one")
    page = wide.at("/hosts/one/new")
    page.get_by_label("Name", exact=True).fill("made")
    page.get_by_label("Model", exact=True).fill("tiny")
    page.get_by_label("Context (tokens)").fill("512")
    expect(page.locator(".plan pre.code")).to_contain_text("--ctx-size 512")
    expect(page.locator(".plan .tag").first).to_have_text("fits")
    wide.press("Preview")
    expect(page.locator(".q-dialog")).to_contain_text("host_vars/one")
    wide.apply()
    assert written("one") == {"made": {"model": "tiny", "port": 8081, "ctx_size": 512}}
    for person in (wide, narrow):
        person.at("/instances/one/made")
        expect(person.state).to_have_text("ready")
        expect(person.content).to_contain_text("tokens/s")
        expect(person.content).to_contain_text("--ctx-size 512")
        page = person.at("/logs?host=one&instance=made&since=1h")
        expect(page.locator(".lines .line").filter(has_text="listening on").first).to_be_visible()
        person.fits()
    assert listening("one") - before == {"tcp 127.0.0.1:8081"}, "nothing else than the new server"


def test_an_instance_restarts(narrow):
    before = main_process("two", "llama-shared")
    narrow.at("/instances/two/shared")
    expect(narrow.state).to_have_text("ready")
    narrow.press("Restart")
    narrow.apply()
    assert main_process("two", "llama-shared") not in (before, "0")


def test_a_foreign_server_is_taken_over_without_a_restart(wide):
    def foreign():
        return sh("two", "pgrep", "-f", "[-]-alias byhand").split()

    page = wide.at("/hosts/two")
    before = foreign()
    wide.row("unmanaged servers", "8090").get_by_role("button", name="Adopt").click()
    page.wait_for_url(re.compile("/hosts/two/new"))
    expect(page.get_by_label("Port", exact=True)).to_have_value("8090")
    expect(page.get_by_label("Name", exact=True)).to_have_value("byhand")
    expect(page.locator(".top [role=status]")).to_have_text("live")
    wide.press("Preview")
    wide.apply()
    assert foreign() == before and len(before) == 1
    wide.at("/instances/two/byhand")
    expect(wide.content).to_contain_text("adopted")


def test_a_build_becomes_active_and_goes_back(wide, narrow):
    def active():
        return sh("one", "readlink", "/opt/llama/current").rpartition("/")[2].strip()

    first = active()
    other = f"{first[:-8]}00000001"
    wide.at("/builds?host=one")
    wide.row("builds", other).get_by_role("button", name="Activate").click()
    wide.apply()
    assert active() == other
    narrow.at("/builds?host=one")
    narrow.row("hosts", "one").get_by_role("button", name="Roll back").click()
    narrow.apply()
    assert active() == first


def test_a_reference_shows_its_candidates_and_is_brought(wide):
    page = wide.at("/library?host=three")
    page.get_by_label("A reference").fill(REPO)
    wide.press("Look it up")
    wide.row("candidates", "little-F16.gguf").get_by_role("button", name="Download").click()
    page.locator(".q-dialog").get_by_role("button", name="Preview", exact=True).click()
    wide.apply()
    wide.at("/library?host=three")
    expect(wide.row("model sets", "owner/little-GGUF")).to_contain_text("complete")


def test_what_fits_where(narrow):
    page = narrow.at("/memory?model=tiny")
    expect(narrow.state).to_have_text("fits on 3 of 3")
    narrow.row("hosts", "one").get_by_role("button", name="Ladder and picture").click()
    expect(page.locator("pre.code").last).to_contain_text("fits")
    narrow.fits()


def test_a_benchmark_is_measured_and_shown_to_everybody(wide, narrow):
    narrow.at("/benchmarks")
    page = wide.at("/benchmarks")
    wide.press("Measure")
    dialog = page.locator(".q-dialog")
    dialog.get_by_label("Hosts").click()
    page.get_by_role("option", name="three").click()
    page.keyboard.press("Escape")
    dialog.get_by_label("Models").fill("tiny")
    dialog.get_by_label("Tests").fill("{n_prompt: [16], n_gen: [8], repetitions: 2}")
    dialog.get_by_label("Allow busy").click()
    page.get_by_role("option", name="yes").click()
    dialog.get_by_role("button", name="Preview", exact=True).click()
    wide.apply()
    wide.at("/benchmarks")
    for person in (wide, narrow):
        expect(person.row("results", "three", "tg")).to_be_visible()
        person.fits()


def test_an_instance_goes_with_its_entry(narrow):
    page = narrow.at("/instances/three/old")
    narrow.press("Delete")
    page.get_by_label("Reason").fill("the test is over")
    page.get_by_role("button", name="Preview the deletion").click()
    narrow.apply()
    assert "old" not in written("three")
    wait_until(lambda: "llama-old" not in sh("three", "systemctl", "list-units", "--all", "--plain", "llama-*"))
    wait_until(lambda: not any(port.endswith(":8081") for port in listening("three")))
