# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from ansible_runs import REPOSITORY

TESTS = {"n_prompt": [32], "n_gen": [8, 16], "n_depth": [0, 64], "repetitions": 3}


def test_measured_once_and_found_again(fresh_root: Path, ansible_module, play):
    root = {"root": str(fresh_root), "scope": "user"}
    assert not ansible_module("gguf_model", {**root, "models": [{"name": "tiny", "source": "builtin:tiny"}]})["failed"]
    # other llama.cpp programs on the machine that runs the tests do not matter here
    asked = {**root, "model": "tiny", "tests": TESTS, "allow_busy": True}

    promised = ansible_module("llama_bench", asked, check=True)
    assert promised["changed"] and promised["rows"] == []
    results = Path(promised["file"])
    assert not results.exists()
    pasted = subprocess.run(["sh", "-c", promised["command_line"]], check=True, capture_output=True, text=True)
    assert len(json.loads(pasted.stdout)) == 6

    first = ansible_module("llama_bench", asked)
    assert not first["failed"], first["msg"]
    assert first["changed"] and first["command"] == promised["command"]
    assert Path(first["command"][0]).parents[1] == fresh_root / "builds" / first["build_id"]
    names = ["pp32", "tg8", "tg16"]
    assert sorted(row["test"] for row in first["rows"]) == sorted(names + [f"{name} @ d64" for name in names])
    assert all(row["avg_ts"] > 0 and len(row["samples_ns"]) == 3 and row["backends"] == "CPU" for row in first["rows"])

    again = ansible_module("llama_bench", asked)
    assert not again["changed"] and (again["rows"], again["time"]) == (first["rows"], first["time"])
    by_path = {**asked, "model": first["model"]["path"], "build": first["build_id"]}
    assert not ansible_module("llama_bench", by_path, check=True)["changed"]

    assert ansible_module("llama_bench", {**asked, "force": True})["changed"]
    # a quantised V cache needs flash attention
    failing = {**asked, "tests": {**TESTS, "cache_type_v": "q8_0", "flash_attn": "off"}}
    failed = ansible_module("llama_bench", failing)
    assert failed["failed"] and "failed to create context" in failed["msg"]
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(line["key"], line["host"]) for line in lines] == [(first["key"], os.uname().nodename)] * 2

    site = {"llama_root": str(fresh_root), "llama_scope": "user", "llama_models": {"tiny": "builtin:tiny"}}
    shown = play(REPOSITORY / "playbooks" / "bench.yml", {**site, "llama_bench_tests": TESTS})
    assert shown.rc == 0 and shown.changed == 0, shown.output
    table = shown.result("tokens per second")["msg"]
    assert len(table) == 7 and table[0].split()[0] == "model" and "tiny" in table[1]


def test_refused_while_a_server_runs(fresh_root: Path, ansible_module, tmp_path):
    model = str(tmp_path / "tiny.gguf")
    tinymodel.write(model)
    asked = {"root": str(fresh_root), "scope": "user", "model": model, "tests": TESTS}
    command = [str(fresh_root / "bin" / "llama-server"), "--model", model, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            time.sleep(0.2)  # until it is the program that was asked for
            refused = ansible_module("llama_bench", asked)
            assert refused["failed"] and f"llama-server (pid {server.pid}," in refused["msg"]
            assert "allow_busy" in refused["msg"]
            preview = ansible_module("llama_bench", asked, check=True)
            assert preview["changed"] and f"pid {server.pid}" in str(preview["warnings"])
        finally:
            server.kill()


def test_preview_on_an_empty_host(ansible_module, tmp_path):
    asked = {"root": str(tmp_path / "root"), "scope": "user", "model": "chat"}
    preview = ansible_module("llama_bench", asked, check=True)
    assert preview["changed"] and "No build is active" in str(preview["warnings"])
    refused = ansible_module("llama_bench", asked)
    assert refused["failed"] and "llama_build" in refused["msg"]
