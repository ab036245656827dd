# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan, the server that is started by hand with its flags over two workers, and what the server's log says it took.

The models have the geometry of published ones, fewer layers, a small vocabulary and nothing but zeros in them.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import loadlog

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "bench" / "planner"), str(TESTS / "unit" / "core" / "memory")]

import recorded  # noqa: E402
import sparse  # noqa: E402

MIB = 1 << 20
TOKENS = 1024
SECONDS = 60


def cut(path: Path, name: str, layers: int) -> str:
    """A sparse file of a recorded model with its first layers alone."""
    sparse.write_runnable(str(path), recorded.models()[name], layers, TOKENS)
    return str(path)


@pytest.fixture
def workers(built_root: Path) -> Iterator[list[str]]:
    """Endpoints of two workers; each serves one client, and then the next."""
    ports, processes = [], []
    for _number in range(2):
        with socket.create_server(("127.0.0.1", 0)) as found:
            ports.append(found.getsockname()[1])
    for port in ports:
        argv = [built_root / "current" / "bin" / "ggml-rpc-server", "-H", "127.0.0.1", "-p", str(port), "-t", "1"]
        processes.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    try:
        time.sleep(0.5)
        yield [f"127.0.0.1:{port}" for port in ports]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def flags(options: dict[str, Any]) -> list[str]:
    """The options of a plan as anybody would type them."""
    argv = ["--rpc", ",".join(options["device"])]
    argv += ["--device", ",".join(f"RPC{number}" for number in range(len(options["device"])))]
    for name in ("ctx_size", "parallel", "batch_size", "ubatch_size", "cache_type_k", "cache_type_v", "flash_attn",
                 "gpu_layers", "split_mode", "n_cpu_moe"):  # fmt: skip
        if options[name] != 0:
            argv += ["--" + name.replace("_", "-"), str(options[name])]
    argv += ["--tensor-split", ",".join(map(str, options["tensor_split"]))]
    return [*argv, "--kv-unified" if options["kv_unified"] else "--no-kv-unified"]


def serve(built_root: Path, folder: Path, model: str, argv: list[str]) -> list[str]:
    """Start llama-server, wait until it serves, end it; the lines of its log."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    program = str(built_root / "current" / "bin" / "llama-server")
    command = [program, "--model", model, "--host", "127.0.0.1", "--port", str(port), "--threads", "2", *argv,
               "--fit", "off", "--no-ui", "--no-warmup", "--log-jsonl", "--verbosity", "4"]  # fmt: skip
    log = folder / "server.log"
    with log.open("wb") as file:
        server = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env={"GGML_NO_BACKTRACE": "1"})
        try:
            _wait(server, f"http://127.0.0.1:{port}/health", log)
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    return log.read_text().splitlines()


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _attempt in range(SECONDS * 5):
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if json.loads(answer.read())["status"] == "ok":
                    return
        except OSError:
            pass
        time.sleep(0.2)
    pytest.fail(f"The server does not serve:\n{log.read_text()[-3000:]}")


@pytest.mark.parametrize(
    ("name", "layers", "options"),
    [
        # sliding windows, batches in flight
        ("gemma3-1b-tied", 12, {"ctx_size": 16384, "gpu_layers": 13}),
        # experts on the host, a cache of eight bits in two streams
        ("olmoe-1b-7b", 4, {"ctx_size": 8192, "parallel": 2, "n_cpu_moe": 1, "cache_type_k": "q8_0",
                            "cache_type_v": "q8_0"}),
        # states of convolutions besides the cache
        ("lfm2-1.2b-tied", 6, {"ctx_size": 8192, "parallel": 2, "ubatch_size": 256}),
    ],
)  # fmt: skip
def test_what_was_planned_is_what_the_server_takes(
    ansible_module, built_root, workers, tmp_path, name, layers, options
):
    model = cut(tmp_path / "model.gguf", name, layers)
    devices = [{"id": endpoint, "backend": "rpc", "total": 8 << 30} for endpoint in workers]
    asked = {**options, "tensor_split": [(layers + 1) // 2, layers + 1 - (layers + 1) // 2]}
    planned = ansible_module("llama_plan", {"model": model, "devices": devices, "options": asked})
    assert not planned["failed"] and planned["fits"] and planned["confidence"] == "high", planned
    plan = planned["plan"]
    taken = loadlog.parse(serve(built_root, tmp_path, model, flags(plan["options"])))
    assert taken.devices == sorted(workers)
    for device in plan["devices"]:
        cells = {key: cell["bytes"] for key, cell in device["components"].items()}
        found = taken.buffers[device["id"]]
        for key in ("weights", "kv_cache", "recurrent_state"):
            assert abs(cells.get(key, 0) - found.get(key, 0)) <= MIB / 50, (device["id"], key)
        # with batches in flight a run takes a little less than the dry run that the plan follows
        spare = 64 * MIB if taken.pipelined else 32 * MIB
        assert -32 * MIB <= cells["compute"] - found["compute"] <= spare, device["id"]
    host = {key: cell["bytes"] for key, cell in plan["host"]["components"].items()}
    found = taken.buffers["host"]
    assert abs(host["output"] - found["output"]) <= MIB / 50
    # the log counts the range of the file that is mapped, with what lies between the host's tensors
    between = MIB / 50 if not plan["options"]["n_cpu_moe"] else Path(model).stat().st_size
    assert -MIB / 50 <= found["weights"] - host["mapped_weights"] <= between + host.get("repacked_weights", 0)
    assert -32 * MIB <= host["compute"] - found["compute"] <= 64 * MIB
