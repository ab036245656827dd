# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel is told at its start, and where it may listen."""

from __future__ import annotations

from pathlib import Path

import pytest
from llamaops_panel.settings import SettingsError, read


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, Path]:
    found = {"tls_certificate": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    for file in found.values():
        file.write_text("x")
    return found


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_nothing(address):
    settings = read(None, {"address": address})
    assert not settings.secure and settings.host_names == {"localhost"}


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "fe80::1", "panel.example", "localhost.example", ""])
def test_a_public_address_needs_tls_or_a_proxy(address, pair):
    with pytest.raises(SettingsError, match="tls_certificate and tls_key, or say behind_proxy"):
        read(None, {"address": address})
    assert read(None, {"address": address, "behind_proxy": True}).secure
    assert read(None, {"address": address, **pair}).secure


def test_names_of_its_own_only_where_it_can_be_reached_by_them(pair):
    assert read(None, {"behind_proxy": True, "names": ["Panel.Example"]}).host_names == {"localhost", "panel.example"}
    assert len(read(None, {"address": "0.0.0.0", **pair}).host_names) > 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("adress = '0.0.0.0'", "unknown setting adress; there are: inventory"),
        ("port = 'x'", "port must be a number"),
        ("port = 70000", "between 1 and 65535"),
        ("port = true", "port must be a number"),
        ("behind_proxy = 1", "behind_proxy must be bool"),
        ("inventory = [1]", "inventory must be a list"),
        ("tls_key = 'x'", "go together"),
        ("private_key = 'absent'", "there is no file"),
        ("project = 'absent'", "there is no folder"),
        ("session_idle = 0", "at least 1"),
        ("port = ", "is no TOML"),
        ("\udcff", "is no TOML"),
    ],
)
def test_what_cannot_be_is_said(tmp_path, text, said):
    file = tmp_path / "panel.toml"
    file.write_text(text, errors="surrogateescape")
    with pytest.raises(SettingsError, match=said):
        read(file, {})


def test_paths_of_the_file_count_from_it_and_arguments_stand_above(tmp_path):
    (tmp_path / "hosts.yml").write_text("")
    (tmp_path / "key").write_text("")
    file = tmp_path / "panel.toml"
    file.write_text("inventory = ['hosts.yml', 'a,b']\nprivate_key = 'key'\nport = 1\nstate = 'state'\n")
    settings = read(file, {"port": 2, "address": None})
    assert settings.inventory == (tmp_path / "hosts.yml", Path("a,b"))
    assert (settings.private_key, settings.port, settings.state) == (tmp_path / "key", 2, tmp_path / "state")
    with pytest.raises(SettingsError, match="cannot read the settings"):
        read(tmp_path / "absent.toml", {})
