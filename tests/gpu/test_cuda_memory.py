# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances on a real GPU: the plan, the log of the server, and what the driver counts for its process."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.request

import pynvml
import pytest
from ansible_runs import run_module

MIB = 1 << 20
CASES = {
    "dense": ("llama3.1-8b", {"ctx_size": 32768, "parallel": 4}),
    "eight-bits": ("qwen3-32b", {"ctx_size": 65536, "cache_type_k": "q8_0", "cache_type_v": "q8_0", "parallel": 2}),
    "experts": ("qwen3-30b-a3b", {"ctx_size": 65536, "n_cpu_moe": 16, "parallel": 4}),
    "windows": ("gemma3-27b-tied", {"ctx_size": 131072, "parallel": 2}),
    "mxfp4": ("gpt-oss-20b", {"ctx_size": 131072, "parallel": 4}),
    "hybrid": ("lfm2-1.2b-tied", {"ctx_size": 32768, "parallel": 4}),
    "latent": ("deepseek-v2-lite", {"ctx_size": 32768, "parallel": 4}),
    "partial": ("llama3.1-8b", {"ctx_size": 16384, "gpu_layers": 20, "parallel": 1}),
    "no-flash": ("llama3.1-8b", {"ctx_size": 16384, "options": {"flash_attn": "off"}, "parallel": 1}),
    "large-batch": ("llama3.1-8b", {"ctx_size": 32768, "options": {"ubatch_size": 2048}, "parallel": 1}),
    "as-much-as-fits": ("llama3.1-8b", {"ctx_size": "auto", "parallel": 8}),
}


ROUTED = ("experts", "mxfp4", "latent")  # what experts gave may be kept or not


@pytest.fixture(scope="module")
def common(gpu_root):
    return {"root": str(gpu_root), "scope": "user", "manager": "supervisor"}


@pytest.fixture
def site(common, tmp_path):
    """`site(instance...)` as llama_instance; all instances are removed at the end."""

    def call(*instances, **more):
        given = {**common, "instances": list(instances), **more}
        return run_module(tmp_path / "run", "llama_instance", given)

    yield call
    call(purge=True)


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def held(pid: int) -> dict[str, int]:
    """Bytes that the driver counts for a process, by the UUID of the device."""
    pynvml.nvmlInit()
    found = {}
    for number in range(pynvml.nvmlDeviceGetCount()):
        device = pynvml.nvmlDeviceGetHandleByIndex(number)
        for process in pynvml.nvmlDeviceGetComputeRunningProcesses(device):
            if process.pid == pid:
                found[str(pynvml.nvmlDeviceGetUUID(device))] = int(process.usedGpuMemory)
    return found


def prompt(port: int, tokens: int) -> dict:
    """Have it read so many tokens and write eight."""
    body = {"prompt": [300 + number % 700 for number in range(tokens)], "n_predict": 8, "cache_prompt": False}
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=300) as answer:
        return json.loads(answer.read())["timings"]


@pytest.mark.parametrize("case", CASES)
def test_memory_is_what_was_planned(case, site, port, model_file, record):
    name, fields = CASES[case]
    found = site({"name": "chat", "model": model_file(name), "port": port, **fields})
    assert not found["failed"], found["msg"]
    chat = found["instances"]["chat"]
    loaded = held(chat["pid"])
    timings = prompt(port, 6000)
    used = held(chat["pid"])
    rows = {row["id"]: row for row in chat["plan"]["devices"]}
    record(
        "memory.jsonl",
        {
            "case": case,
            "model": name,
            "command": chat["command_line"],
            "residency": chat["residency"],
            "reasons": chat["residency_reasons"],
            "planned": {device: row["components"] for device, row in rows.items()},
            "host": chat["plan"]["host"],
            "logged": chat["actual"],
            "driver_loaded": loaded,
            "driver_after_prompt": used,
            "prompt_per_second": timings["prompt_per_second"],
            "predicted_per_second": timings["predicted_per_second"],
        },
    )
    assert chat["residency"] == "verified", chat["residency_reasons"]
    assert set(used) == set(rows), "the driver sees it on other devices"
    for device, row in rows.items():
        planned, logged = row["components"], chat["actual"][device]
        for part in ("weights", "kv_cache", "recurrent_state"):
            assert abs(planned.get(part, 0) - logged.get(part, 0)) <= MIB / 50, (device, part)
        more = planned["compute"] + planned.get("staging", 0) - logged["compute"]
        bound = "staging" in planned or fields.get("cache_type_k") or case in ROUTED
        assert more >= -32 * MIB and (bound or more <= max(32 * MIB, logged["compute"] / 10))
        spare = sum(size for part, size in planned.items() if part != "headroom") - used[device]
        assert spare >= 0, f"the driver counts {-spare / MIB:.0f} MiB more than was planned"


def test_the_driver_s_own_share_is_learned_and_used(site, port, model_file, gpu_root):
    asked = {"name": "chat", "model": model_file("llama3.1-8b"), "port": port, "ctx_size": 8192}
    first = site(asked)
    assert not first["failed"], first["msg"]
    learned = json.loads((gpu_root / "cache" / "driver-context.json").read_text())["bytes"]
    assert any(100 * MIB < size < 2000 * MIB for size in learned.values()), learned
    second = site({**asked, "ctx_size": 4096})
    assert not second["failed"], second["msg"]
    [row] = second["instances"]["chat"]["plan"]["devices"]
    assert 0 < row["components"]["driver_context"] - max(learned.values()) <= 128 * MIB


def test_a_killed_server_is_back_on_the_card_and_the_facts_name_it(site, common, port, model_file, tmp_path):
    entry = {"name": "chat", "model": model_file("llama3.1-8b"), "port": port, "ctx_size": 8192}
    pid = site(entry)["instances"]["chat"]["pid"]
    facts = run_module(tmp_path / "facts", "gpu_facts", {})["ansible_facts"]["llama_gpu"]
    [seen] = [process for process in facts["devices"][0]["processes"] if process["pid"] == pid]
    assert seen["used"] > 5 << 30
    assert seen["command"] == (None if facts["host"]["container"] else "llama-server")
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        chat = run_module(tmp_path / "info", "llama_instance_info", common)["instances"]["chat"]
        if chat["pid"] != pid and chat["state"] == "ready":
            break
        time.sleep(0.5)
    assert (chat["state"], chat["residency"], chat["share"]) == ("ready", "verified", "100% GPU")


def test_nothing_is_measured_on_a_card_that_serves(site, common, port, model_file, tmp_path):
    entry = {"name": "chat", "model": model_file("llama3.1-8b"), "port": port, "ctx_size": 8192}
    pid = site(entry)["instances"]["chat"]["pid"]
    asked = {"root": common["root"], "scope": "user", "model": model_file("llama3.1-8b"), "force": True}
    refused = run_module(tmp_path / "bench", "llama_bench", asked)
    assert refused["failed"] and "is in use by" in refused["msg"] and f"(pid {pid}" in refused["msg"], refused["msg"]


def test_what_does_not_fit_on_the_card_is_refused_before_it_starts(site, port, model_file):
    refused = site({"name": "chat", "model": model_file("qwen3-32b"), "port": port, "ctx_size": 4 << 20})
    assert refused["failed"] and "does not fit" in refused["msg"], refused["msg"]


def test_the_build_itself_agrees_with_the_plan(site, port, model_file):
    asked = {"name": "chat", "model": model_file("qwen3-30b-a3b"), "port": port, "ctx_size": 32768}
    found = site({**asked, "plan": {"exact": True}})
    assert not found["failed"], found["msg"]
    assert not [said for said in found.get("warnings") or [] if "exact" in said], found["warnings"]
