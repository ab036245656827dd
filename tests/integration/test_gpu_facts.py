# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_runs import REPOSITORY

FAKE_DRIVER = Path(__file__).parents[1] / "fixtures" / "nvml.c"


@pytest.fixture
def bare_python(tmp_path: Path) -> str:
    """A Python without any further library."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    return str(tmp_path / "bare" / "bin" / "python")


@pytest.fixture
def fake_driver(tmp_path: Path) -> dict[str, str]:
    """The environment in which the real pynvml loads a stand-in for NVIDIA's library."""
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "libnvidia-ml.so.1", FAKE_DRIVER], check=True)
    return {"LD_LIBRARY_PATH": str(tmp_path)}


@pytest.mark.parametrize("check", [False, True])
def test_facts_of_this_host(ansible_module, check):
    result = ansible_module("gpu_facts", {}, check=check)
    assert not result["failed"] and not result["changed"]
    facts = result["ansible_facts"]["llama_gpu"]
    assert set(facts) == {"schema", "devices", "topology", "host", "driver", "cuda", "build", "reason"}
    assert facts["build"] is None and facts["host"]["storage"] is None
    assert facts["host"]["cpu"]["logical"] == os.cpu_count()
    assert facts["devices"] or facts["reason"]


def test_facts_by_the_driver_library(ansible_module, fake_driver):
    result = ansible_module("gpu_facts", {"expected": 2}, env=fake_driver)
    assert [device["name"] for device in result["ansible_facts"]["llama_gpu"]["devices"]] == ["Fake H200", "Fake A30"]


def test_fewer_gpus_than_expected(ansible_module, fake_driver):
    result = ansible_module("gpu_facts", {"expected": 3}, env=fake_driver)
    assert result["failed"] and (result["found"], result["expected"]) == (2, 3)
    assert "2 of 3 expected GPUs" in result["msg"] and "llama_gpus" in result["msg"]


def test_the_playbook_shows_them(play, fake_driver):
    shown = play(REPOSITORY / "playbooks" / "facts.yml", {"llama_gpus": 2}, env=fake_driver)
    assert shown.rc == 0 and shown.changed == 0, shown.output
    table = "\n".join(shown.result("Show them")["msg"])
    row = r"GPU-aaaaaaaa\S+ +Fake H200 +140.0 GiB +141.0 GiB +9.0 +0000:3b:00.0 +- +x16 gen5 +7 %"
    assert re.search(row, table) and "MIG-cccccccc" in table and "process 4242 (compute) holds 1.0 GiB" in table


def test_the_active_build_is_asked_what_it_sees(ansible_module, fake_driver, fresh_root):
    asked = {"root": str(fresh_root), "scope": "user"}
    result = ansible_module("gpu_facts", asked, env=fake_driver)
    facts = result["ansible_facts"]["llama_gpu"]
    assert facts["host"]["storage"]["total"] > facts["host"]["storage"]["free"] > 0
    build = facts["build"]
    assert build["id"] == (fresh_root / "current").resolve().name and build["devices"] == []
    assert "lists none of the 2 cuda devices" in build["differences"][0] and result["warnings"] == build["differences"]


def test_a_missing_library_is_found_in_the_managed_environment(ansible_module, bare_python, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "venv").symlink_to(sys.prefix)
    variables = {"ansible_python_interpreter": bare_python}
    result = ansible_module("gpu_facts", {"root": str(root)}, variables=variables)
    assert not result["failed"], result["msg"]


def test_a_missing_library_is_named(ansible_module, bare_python):
    result = ansible_module("gpu_facts", {}, variables={"ansible_python_interpreter": bare_python})
    assert result["failed"] and "psutil" in result["msg"] and "llama_runtime" in result["msg"]
