# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import account
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.command import Account
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput

NOBODY = Account("nobody", 65534, 65534, "/nonexistent")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
WAYS = [None, pytest.param(NOBODY, marks=needs_root)]


@pytest.mark.parametrize("who", WAYS)
def test_values_come_back(who):
    assert account.call(who, lambda: {"a": [1, None, "ü"]}) == {"a": [1, None, "ü"]}


@pytest.mark.parametrize("who", WAYS)
def test_errors_come_back_as_they_were(who):
    def refuse() -> None:
        raise InvalidInput("No.", "Say yes.", similar=["x"])

    with pytest.raises(InvalidInput) as caught:
        account.call(who, refuse)
    assert (caught.value.problem, caught.value.remedy, caught.value.details) == ("No.", "Say yes.", {"similar": ["x"]})
    with pytest.raises(FileNotFoundError) as missing:
        account.call(who, lambda: Path("/nowhere/x").read_text())
    assert missing.value.filename == "/nowhere/x"


@needs_root
def test_it_really_is_somebody_else(tmp_path):
    groups = os.getgroups()
    os.setgroups([4])
    try:
        assert account.call(NOBODY, lambda: [os.getuid(), os.getgid(), os.getgroups()]) == [65534, 65534, []]
    finally:
        os.setgroups(groups)
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    with pytest.raises(PermissionError):
        account.call(NOBODY, secret.read_text)
    with pytest.raises(PermissionError):
        account.call(NOBODY, lambda: os.setuid(0))


@needs_root
def test_an_open_file_can_be_handed_over(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("content")
    secret.chmod(0o600)
    with open(secret) as file:
        assert account.call(NOBODY, file.read) == "content"


@needs_root
def test_a_defect_and_a_sudden_end_are_errors():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        account.call(NOBODY, lambda: 1 // 0)
    with pytest.raises(RuntimeError, match="killed"):
        account.call(NOBODY, lambda: os._exit(9))
