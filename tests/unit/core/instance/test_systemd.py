# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the systemd of a user needs before it can keep instances."""

from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import tree as trees
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.systemd import Systemd


@pytest.mark.parametrize(
    ("lingers", "may", "asked", "warned"),
    [("yes", True, 0, False), ("no", True, 1, False), ("no", False, 1, True)],
)
def test_lingering_is_turned_on_or_asked_for(tmp_path, monkeypatch, lingers, may, asked, warned):
    tool = tmp_path / "bin" / "loginctl"
    tool.parent.mkdir()
    body = f"[ $1 != show-user ] || {{ echo {lingers}; exit; }}; echo $1 >>{tmp_path}/asked; exit {0 if may else 1}"
    tool.write_text(f"#!/bin/sh\n{body}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    said = Systemd(trees.open_tree(str(tmp_path / "root"), "user")).prepare()
    assert [("loginctl enable-linger" in line) for line in said] == [True] * warned
    words = (tmp_path / "asked").read_text().split() if asked else []
    assert words == ["enable-linger"] * asked and (tmp_path / "asked").exists() == bool(asked)
    assert (tmp_path / "config" / "systemd" / "user").is_dir()
