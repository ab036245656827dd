# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tiny model in the really built llama-server: its answer is exact, whatever the settings and the sampling."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import probe


@pytest.fixture
def server(built_root, tmp_path):
    """`server(flags)`: a context with the address of a running llama-server."""

    @contextlib.contextmanager
    def run(*flags):
        model = tmp_path / "tiny.gguf"
        tinymodel.write(str(model))
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = found.getsockname()[1]
        argv = [
            built_root / "current" / "bin" / "llama-server",
            "-m",
            model,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        with open(tmp_path / "log", "w") as log, subprocess.Popen([*argv, *flags], stdout=log, stderr=log) as process:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 60
            while probe.health(url) != probe.READY and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            try:
                yield url
            finally:
                process.kill()

    return run


def ask(url, **more):
    messages = [
        {"role": "system", "content": "é 🙂"},
        {"role": "user", "content": "Hello from llama.cpp: this"},
        {"role": "assistant", "content": tinymodel.ANSWER},
        {"role": "user", "content": "More?\n\n"},
    ]
    _status, answer = probe.request(url, "/v1/chat/completions", {"messages": messages, **more})
    return answer["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    "flags",
    [(), ("-fa", "off"), ("-fa", "on", "-ctk", "q8_0", "-ctv", "q8_0"), ("-ub", "16", "-np", "2", "-c", "1024")],
    ids=" ".join,
)
def test_every_chat_gets_the_answer(server, flags):
    with server(*flags) as url:
        assert ask(url) == tinymodel.ANSWER
        assert ask(url, temperature=3.0, top_k=0, top_p=1.0, min_p=0.0) == tinymodel.ANSWER


def test_it_goes_on_when_the_end_is_barred(server):
    with server() as url:
        said = ask(url, ignore_eos=True, max_tokens=20)
    assert said.startswith(2 * tinymodel.ANSWER)


def test_different_texts_embed_differently(server):
    with server("--embedding", "--pooling", "mean") as url:
        _status, answer = probe.request(url, "/v1/embeddings", {"input": ["Hello", "a cat", "Hello"]})
    first, second, third = (entry["embedding"] for entry in answer["data"])
    assert sum(value * value for value in first) == pytest.approx(1, abs=1e-3)
    assert first == pytest.approx(third)
    assert max(abs(a - b) for a, b in zip(first, second)) > 1e-3
