# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel in a browser over one real host, this machine: what people do, at 1440 and at 390 pixels."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.gguf import sparse
from ansible_runs import must, run_module
from fixtures.panel_browser import SIZES, VIEWER, Person, chromium, serving, two_people, wait_until
from playwright.sync_api import expect

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "unit" / "core" / "memory"))

import recorded

PAGES = ("/", "/hosts/here", "/hosts/here/new", "/instances", "/jobs", "/builds", "/memory?model=tiny", "/library",
         "/benchmarks", "/logs", "/settings")  # fmt: skip
HOSTILE = "<img src=x onerror=alert(1)>"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def inventory(instance_root, tmp_path_factory):
    """The inventory of an operator, in a folder; nothing of it runs at the end."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    mine = {"llama_root": str(instance_root), "llama_scope": "user", "llama_manager": "supervisor"}
    models = {"llama_models": {"tiny": {"source": "builtin:tiny"}}}
    folder = tmp_path_factory.mktemp("panel") / "inventory"
    folder.mkdir()
    away = {"ansible_host": "127.0.0.1", "ansible_port": free_port()}
    hosts = {"here": {**local, **mine, **models}, "away": away}
    (folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    yield folder
    nothing = {"scope": "user", "manager": "supervisor", "instances": [], "purge": True}
    must(run_module(folder.parent / "run", "llama_instance", {"root": str(instance_root), **nothing}))


@pytest.fixture(scope="module")
def eight_b(inventory):
    """The path of a model of 8 billion parameters, as far as a plan looks at it: a sparse file with its geometry."""
    found, path = recorded.models()["llama3.1-8b"], inventory.parent / "Llama-3.1-8B.gguf"
    sparse.write(str(path), found["metadata"], recorded.unpack(found["tensors"]))
    return path


@pytest.fixture(scope="module")
def panel(inventory):
    with serving(inventory, inventory.parent / "state", free_port()) as found:
        yield found


@pytest.fixture(scope="module")
def browser(panel):
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def people(browser, panel):
    found = two_people(browser, panel.base)
    yield found
    assert [person.trouble for person in found.values()] == [[], []]


def written(inventory):
    return yaml.safe_load((inventory / "host_vars" / "here" / "llama_panel.yml").read_text())["llama_instances__panel"]


def answers(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status == 200
    except OSError:
        return False


@pytest.mark.parametrize("size", SIZES)
def test_every_page_fits_its_width(people, size):
    person = people[size]
    for path in PAGES:
        person.at(path)
        expect(person.content.locator("h1").first).to_be_visible()
        person.fits()
    person.at("/")
    expect(person.row("hosts", "here")).to_contain_text("connected")
    expect(person.row("What needs a human", "away", "not connected")).to_be_visible()


def test_the_keyboard_is_enough(people):
    page = people["wide"].at("/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.wait_for_url(re.compile("/jobs$"))
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()


def test_an_instance_from_its_first_plan_to_its_end_while_the_panel_is_killed(
    people, panel, inventory, eight_b, instance_root
):
    """Made at 1440 pixels, changed while the panel is killed, removed at 390 pixels."""
    wide, narrow, port = people["wide"], people["narrow"], free_port()
    page = wide.at("/hosts/here/new")
    page.get_by_label("Name", exact=True).fill("chat")
    page.get_by_label("Model", exact=True).fill("no-such-model")
    expect(page.locator(".plan")).to_contain_text("no plan")
    page.get_by_label("Model", exact=True).fill(str(eight_b))
    page.get_by_label("Context (tokens)").fill("32768")
    expect(page.locator(".plan pre.code")).to_contain_text("--ctx-size 32768")
    wide.picture("form")
    page.get_by_label("Model", exact=True).fill("tiny")
    page.get_by_label("Port", exact=True).fill(str(port))
    page.get_by_label("Context (tokens)").fill("512")
    expect(page.locator(".plan pre.code")).to_contain_text(
        re.compile(rf"llama-server .*--port {port} .*--ctx-size 512 ")
    )
    expect(page.locator(".plan .tag").first).to_have_text("fits")
    wide.press("Preview")
    dialog = page.locator(".q-dialog")
    expect(dialog).to_contain_text("host_vars/here/llama_panel.yml")
    expect(dialog).to_contain_text("ansible-playbook -i ")
    assert not (inventory / "host_vars").exists()
    wide.apply()
    assert written(inventory) == {"chat": {"model": "tiny", "port": port, "ctx_size": 512}} and answers(port)
    wide.at("/instances/here/chat")
    expect(wide.state).to_have_text("ready")
    expect(wide.content).to_contain_text("tokens/s")
    expect(wide.content.locator("pre.code").first).to_contain_text("--ctx-size 512")
    wide.at("/")
    expect(wide.row("instances", "chat")).to_contain_text("ready")
    wide.picture("fleet")

    page = narrow.at("/logs?host=here&instance=chat")
    expect(page.locator(".lines .line").filter(has_text=f"listening on http://127.0.0.1:{port}")).to_be_visible()
    narrow.fits()
    log = instance_root / "supervisor" / "llama-chat.log"
    log.with_suffix(".log.1").write_text("the oldest line\n")
    saved = narrow.download("Download")
    assert saved[0] == "the oldest line" and len(saved) > len(log.read_text().splitlines())

    page = narrow.at("/instances/here/chat/edit")
    other = wide.at("/instances/here/chat/edit")
    page.get_by_label("Context (tokens)").fill("1024")
    page.get_by_label("Add a flag").fill("cache-ram")
    page.get_by_role("option").first.click()
    page.get_by_label("cache_ram", exact=True).fill("64")
    narrow.press("Preview")
    job = narrow.begin()
    expect(page.locator(".top [role=status]")).to_have_text("live")
    panel.end(signal.SIGKILL)
    assert answers(port)
    expect(page.locator(".top [role=status]")).to_have_text("offline")
    panel.start()
    narrow.at(f"/jobs/{job}")
    narrow.ends()
    expect(page.locator(".lines .line").first).to_contain_text("▸")
    expect(page.locator(".lines .line").last).to_contain_text("end:")
    assert "ok here: Keep their names" in "\n".join(narrow.download("Download"))
    assert written(inventory)["chat"] == {"model": "tiny", "port": port, "ctx_size": 1024, "options": {"cache_ram": 64}}
    narrow.at("/instances/here/chat")
    expect(narrow.content.locator("pre.code").first).to_contain_text("--cache-ram 64")

    expect(wide.page.locator(".top [role=status]")).to_have_text("live")
    wide.at("/instances/here/chat/edit")
    (inventory / "host_vars" / "here" / "llama_panel.yml").write_text(
        (inventory / "host_vars" / "here" / "llama_panel.yml").read_text().replace("1024", "768")
    )
    other.get_by_label("Context (tokens)").fill("256")
    wide.press("Preview")
    expect(wide.content).to_contain_text("Nothing was written")
    wide.press("Take the newer one into the form")
    expect(other.get_by_label("Context (tokens)")).to_have_value("768")

    narrow.at("/instances/here/chat")
    narrow.press("Delete")
    page.get_by_label("Reason").fill("the test is over")
    page.get_by_role("button", name="Preview the deletion").click()
    narrow.apply()
    assert not answers(port) and written(inventory) == {}
    wait_until(lambda: "chat" not in wide.at("/instances").locator("#content").inner_text())


def test_what_somebody_types_is_text_wherever_it_appears(people):
    person = people["wide"]
    page = person.at("/hosts/here/new")
    page.get_by_label("Name", exact=True).fill(HOSTILE)
    page.get_by_label("Model", exact=True).fill(HOSTILE)
    person.press("Preview")
    expect(person.content.locator(".notice").first).to_contain_text("<img")
    page = person.at("/instances/here/%3Cimg%20src=x%20onerror=alert(1)%3E")
    expect(person.content.locator(".notice").first).to_contain_text("<img")
    assert page.locator("#content img").count() == 0


def test_what_fits_is_drawn_and_the_theme_stays(people, eight_b):
    person = people["wide"]
    page = person.at(f"/memory?model={eight_b}&host=here&ctx=65536")
    expect(person.state).to_have_text("fits on 1 of 1")
    expect(page.locator("pre.code").last).to_contain_text("fits")
    person.picture("memory")
    page.locator(".top").get_by_role("button", name="Theme").click()
    expect(page.locator("body")).to_have_class(re.compile("body--dark"))
    person.at("/")
    expect(page.locator("body")).to_have_class(re.compile("body--dark"))


def test_a_viewer_is_told_why_there_is_no_plan(browser, panel):
    person = Person(browser, panel.base, "wide")
    person.log_in(VIEWER)
    page = person.at("/memory?model=owner/repo:Q4_K_M&host=here")
    expect(person.row("hosts", "here")).to_contain_text("needs the role operator")
    person.at("/memory?model=tiny&host=here")
    expect(person.state).to_have_text("fits on 1 of 1")
    person.at("/library")
    expect(page.get_by_role("button", name="Look it up")).to_be_disabled()
    person.context.close()


def test_the_end_ends_everything(people):
    person = people["narrow"]
    page = person.at("/")
    page.locator(".top").get_by_role("button", name="Log out").click()
    page.wait_for_url(re.compile("/login"))
    page.goto(person.base + "/instances")
    page.wait_for_url(re.compile("/login"))
