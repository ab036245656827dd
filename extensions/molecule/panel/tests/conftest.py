# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One panel for all tests of the scenario, a hub in the lab's network, and people at browsers of two widths."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "tests"))

import lab
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from fixtures import local_hub
from fixtures.certificates import certificate
from fixtures.panel_browser import chromium, two_people

GATEWAY = os.environ.get("LAB_SUBNET", "10.231.7") + ".1"


@pytest.fixture(scope="session")
def hub():
    """A hub with one small model that loads."""
    with local_hub.serving(GATEWAY) as found:
        found.push("owner/little-GGUF", {"little-F16.gguf": tinymodel.content()})
        yield found


@pytest.fixture(scope="session")
def ports():
    """What listens on the hosts before there is a panel."""
    return {host: lab.listening(host) for host in lab.HOSTS}


@pytest.fixture(scope="session")
def panel(hub, ports, tmp_path_factory):
    """Installed on `desk`, with a certificate."""
    folder, hosts = tmp_path_factory.mktemp("panel"), lab.lab()
    address = hosts["hosts"][lab.DESK]["ansible_host"]
    file, _key = certificate(folder, address)
    desk = lab.Desk(address, file.read_text())
    desk.lay_out(folder, hub.endpoint, hosts["vars"]["ansible_ssh_private_key_file"])
    desk.install(folder)
    return desk


@pytest.fixture(scope="session")
def browser(panel):
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def people(browser, panel):
    found = two_people(browser, panel.base)
    yield found
    assert [person.trouble for person in found.values()] == [[], []]


@pytest.fixture
def wide(people):
    return people["wide"]


@pytest.fixture
def narrow(people):
    return people["narrow"]
