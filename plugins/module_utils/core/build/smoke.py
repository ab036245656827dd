# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof that a fresh build works: it loads a model, computes and serves the known answer, without any rights."""

from __future__ import annotations

import os
import shutil
import socket
from typing import Any

from .. import sandbox
from ..errors import NotProven
from ..files import read_text
from ..instance import logreason, probe
from ..tree import Tree
from . import devices, libraries, tinymodel
from .backend import GPU

_SECONDS = 120
# no configuration file of the user counts
_ENVIRONMENT = {"XDG_CONFIG_HOME": "/nonexistent"}
_REQUEST = {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0.0, "max_tokens": 64}


def prove_in(tree: Tree, build: str, backend: str = "cpu") -> dict[str, Any]:
    """As `prove`, for the llama-server of a build's folder; nothing is left in it.

    A GPU build must also compute the known answer on the first of its devices, with the model really on it; which
    there are is in `devices`. On a host without one it is proven for the CPU only, and must not be activated there.
    """
    folder, server = os.path.join(build, "smoke"), os.path.join(build, "bin", "llama-server")
    libraries.require(build, driver=False)
    os.mkdir(folder)
    try:
        proof = prove(tree, server, folder)
        if backend in GPU:
            found, _said = devices.find(tree, server, backend)
            proof["devices"] = [device["name"] for device in found]
            if found:
                libraries.require(build, driver=True)
                proof["on_device"] = prove(tree, server, folder, proof["devices"][0])
        return proof
    finally:
        shutil.rmtree(folder)


def prove(tree: Tree, server: str, folder: str, device: str = "none") -> dict[str, Any]:
    """Start a llama-server on the loopback, have it answer a chat request, compare with the known answer.

    :param folder: for the model and the log; what is written there stays.
    :param device: the device that must hold the model, by the name that llama.cpp gives it; none for the CPU.
    :return: `{answer, tokens_per_second}` for the manifest.
    :raises NotProven: it does not start, does not answer, or computes something else; says why.
    """
    model, log = os.path.join(folder, "tiny.gguf"), os.path.join(folder, "server.log")
    tinymodel.write(model)
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [server, "--model", model, "--host", "127.0.0.1"]
    argv += ["--port", str(port), "--device", device, "--ctx-size", "512", "--parallel", "1"]
    argv += [] if device == "none" else ["--n-gpu-layers", "99", "-lv", "4"]
    with (
        open(log, "wb") as output,
        sandbox.background(
            tree, argv, unit=f"llama-smoke-{os.getpid()}", seconds=2 * _SECONDS, log=output, env=_ENVIRONMENT
        ) as process,
    ):
        state = probe.wait_ready(url, _SECONDS, lambda: process.poll() is None)
        if state == probe.READY:
            proof = _compare(url, log)
            if device != "none" and f"{device} model buffer size" not in (read_text(log) or ""):
                raise _failure(f"The fresh llama-server put no part of the model on {device}.", read_text(log) or "")
            return proof
        ended = process.poll()
    said = read_text(log) or ""
    how = f"it is {state} after {_SECONDS} s" if ended is None else logreason.exit_meaning(ended)
    raise _failure(f"The fresh llama-server did not start: {logreason.find(said) or how}.", said)


def _compare(url: str, log: str) -> dict[str, Any]:
    try:
        status, answer = probe.request(url, "/v1/chat/completions", _REQUEST, timeout=60.0)
        text = answer["choices"][0]["message"]["content"]
    except (probe.ProbeError, KeyError, IndexError, TypeError) as exc:
        raise _failure(f"The fresh llama-server gave no answer: {exc}.", read_text(log) or "") from exc
    if status != 200 or text != tinymodel.ANSWER:
        raise _failure(
            f"The fresh llama-server computes wrongly: it answered {text!r} instead of {tinymodel.ANSWER!r}.", ""
        )
    speed = (answer.get("timings") or {}).get("predicted_per_second")
    return {"answer": text, "tokens_per_second": speed}


def _failure(problem: str, log: str) -> NotProven:
    remedy = "The build was not kept; what was active stays active."
    return NotProven(problem, remedy, log=log[-4000:])


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
