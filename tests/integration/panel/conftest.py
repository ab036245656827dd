# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One panel for all tests of what it serves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fixtures.panel_process import FILES, PASSWORDS, PLANTED, PanelProcess, inventory_of, quiet_host, simulated


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PanelProcess]:
    """A panel with the users ann (admin), olga (operator) and vic (viewer), and the hosts gpu01, gpu02 and shut."""
    folder = tmp_path_factory.mktemp("panel")
    with simulated(folder, quiet_host) as fleet:
        ssh = {"ansible_ssh_executable": str(fleet.ssh)}
        hosts = {"gpu01": ssh, "gpu02": ssh, "shut": {**ssh, **PLANTED}}
        for name, text in FILES.items():
            (folder / name).write_text(text)
        (folder / "panel.toml").write_text("private_key = 'key'\nvault_password_file = 'vault'\n")
        words = ("--inventory", str(inventory_of(folder, hosts)), "--config", str(folder / "panel.toml"))
        panel = PanelProcess(folder, *words)
        said = panel.command("user", "add", "ann", "--password-file", "-", typed=f"{PASSWORDS['ann']}\n")
        assert said.stdout == "ann is admin\n", said
        panel.start()
        try:
            panel.add_users()
            panel.connected(3)
            panel.streams = [" ".join(peer.words) for peer in fleet.peers]
            yield panel
        finally:
            panel.stop()
