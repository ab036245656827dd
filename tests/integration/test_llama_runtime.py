# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module and the role llama_runtime in the user scope of this machine."""

from __future__ import annotations

import os
import subprocess

ROLE = [{"hosts": "localhost", "gather_facts": False, "roles": ["llamaops.llama_cpp.llama_runtime"]}]


def test_folders_and_probe(ansible_module, tmp_path):
    root = tmp_path / "root"
    args = {"root": str(root), "scope": "user"}
    seen = ansible_module("llama_runtime", args, check=True, diff=True)
    assert seen["changed"] and not root.exists()
    assert any("llama-probe" in part["after_header"] for part in seen["diff"])
    done = ansible_module("llama_runtime", args)
    assert done["changed"] and done["paths"] == seen["paths"]
    assert (root / "keys").stat().st_mode & 0o777 == 0o700
    assert not (root / "venv").exists()
    assert not ansible_module("llama_runtime", args)["changed"]


def test_the_managed_environment_follows_its_list(ansible_module, tmp_path):
    root = tmp_path / "root"
    args = {"root": str(root), "scope": "user", "packages": ["psutil>=5.9"]}
    assert ansible_module("llama_runtime", args)["paths"][-1] == str(root / "venv")
    subprocess.run([root / "venv/bin/python", "-c", "import psutil"], check=True)
    assert not ansible_module("llama_runtime", args)["changed"]
    # a run that was cut off before its stamp is completed by the next one
    os.remove(root / "venv/.llamaops-requirements")
    assert ansible_module("llama_runtime", args)["paths"] == [str(root / "venv")]


def test_a_package_that_does_not_exist_is_named(ansible_module, tmp_path):
    missing = "llamaops-no-such-package-exists==1.0"
    args = {"root": str(tmp_path / "root"), "scope": "user", "packages": [missing]}
    result = ansible_module("llama_runtime", args)
    assert result["failed"] and missing in result["msg"]
    assert ansible_module("llama_runtime", args)["failed"]


def test_the_role_previews_an_empty_host_and_refuses_what_it_cannot_serve(play, tmp_path):
    variables = {"llama_root": str(tmp_path / "root"), "llama_scope": "user", "llama_manager": "supervisor"}
    seen = play(ROLE, variables, check=True)
    assert seen.rc == 0 and seen.changed == 1, seen.output
    assert "supervisor" in str(seen.result("Prepare the runtime root")["invocation"]["module_args"])
    assert not (tmp_path / "root").exists()
    wrong = play(ROLE, {**variables, "llama_manager": "upstart"})
    assert wrong.rc and "upstart" in wrong.messages


def test_the_system_scope_names_the_platforms_it_supports(play, tmp_path):
    facts = {
        "distribution": "Debian",
        "distribution_major_version": "11",
        "distribution_version": "11.9",
        "os_family": "Debian",
        "service_mgr": "systemd",
        "systemd": {"version": 247},
        "user_uid": 0,
        "user_dir": "/root",
    }
    old = [
        {**ROLE[0], "pre_tasks": [{"name": "Be an old host", "ansible.builtin.set_fact": {**facts, "cacheable": True}}]}
    ]
    done = play(old, {"llama_scope": "system"})
    assert done.rc and "Debian 11.9" in done.messages and "Debian 12" in done.messages, done.output
