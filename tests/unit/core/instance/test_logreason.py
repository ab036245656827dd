# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reasons found in recorded logs of a real llama-server, in further lines of upstream, and in hostile text."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import logreason
from hypothesis import given
from hypothesis import strategies as st

RECORDED = Path(__file__).parents[3] / "fixtures" / "recorded"
CANNOT_LISTEN = ": the port is in use, the address is not of this host, or a TLS file cannot be used."
REASONS = {
    "bad-device": "The device CUDA7, given by --device, does not exist on this host.",
    "bad-number": "The flag --ctx-size needs a number.",
    "bad-ot": "The flag -ot does not accept its value: unknown buffer type.",
    "bad-template": "The chat template cannot be used: parser: Parser Error: Expected }} (Got ).",
    "bad-tls-file": "The server cannot listen on 127.0.0.1 port 18600" + CANNOT_LISTEN,
    "bad-value": "The flag --flash-attn does not accept its value: unknown value for --flash-attn: 'maybe'.",
    "compute-limit": "There is not enough memory for the compute buffers (879.64 MB).",
    "draft-missing": "The file none.gguf cannot be opened: No such file or directory.",
    "draft-none": "Speculative decoding cannot be set up: draft-simple requires a draft context.",
    "empty-model": "The model file ends early or is damaged (magic).",
    "foreign-address": "The server cannot listen on 192.0.2.7 port 18600" + CANNOT_LISTEN,
    "garbage-model": "The model is not a GGUF file.",
    "kv-limit": "There is not enough memory",
    "missing-key-file": "The file 'keys/none', given by --api-key-file, cannot be opened.",
    "missing-lora": "The file none.gguf cannot be opened: No such file or directory.",
    "missing-mmproj": "The file none.gguf cannot be opened: No such file or directory.",
    "missing-model": "The file models/missing.gguf cannot be opened: No such file or directory.",
    "missing-shard": "Shard 00003 of 00005 of the model cannot be opened (shard-00003-of-00005.gguf): No such file",
    "missing-template": "The file 'none.jinja', given by --chat-template-file, cannot be opened.",
    "missing-value": "The flag --threads does not accept its value: expected value for argument.",
    "mtp-none": "The model has no layers for multi-token prediction (draft-mtp).",
    "port-in-use": "The server cannot listen on 127.0.0.1 port 18601" + CANNOT_LISTEN,
    "removed-flag": "The flag --draft-max was removed from llama.cpp: use --spec-draft-n-max or --spec-ngram-mod-n",
    "rpc-unreachable": "The RPC worker 127.0.0.1:18602 does not answer.",
    "second-shard": "The model must be loaded by its first shard, not by shard-00002-of-00005.gguf.",
    "socket-stale": "The server cannot listen on stale.sock: a socket of an earlier run is in the way",
    "spec-bad": "The flag --spec-type does not accept its value: unknown speculative type: nonsense.",
    "truncated-header": "The model file ends early or is damaged (key-value pairs).",
    "truncated-model": "The model file ends early or is damaged (tensor 'blk.0.ffn_down.weight').",
    "unknown-architecture": "This build does not know the model architecture 'lamma'; a newer llama.cpp may.",
    "unknown-flag": "This build does not know the flag --mlock.",
    "v-cache-no-fa": "quantized V cache requires flash_attn to be enabled.",
}


def recorded(form):
    text = (RECORDED / f"failed-starts.{form}.txt").read_text(encoding="utf-8")
    parts = re.split(r"^=== (\S+)\n", text, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2]))


@pytest.mark.parametrize("form", ["log", "jsonl"])
def test_every_recorded_failure_has_its_reason(form):
    found = {case: logreason.find(text) for case, text in recorded(form).items()}
    assert found.keys() == REASONS.keys()
    wrong = {case: reason for case, reason in found.items() if not (reason or "").startswith(REASONS[case])}
    assert wrong == {}


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (
            # ggml/src/ggml-cuda/ggml-cuda.cu and src/llama-model.cpp
            "0.00.1 I x\n"
            "0.01.000.001 E ggml_backend_cuda_buffer_type_alloc_buffer: allocating 5120.00 MiB on device 1: "
            "cudaMalloc failed: out of memory\n"
            "0.01.000.002 E llama_model_load: error loading model: unable to allocate CUDA1 buffer\n",
            "There is not enough memory for the CUDA1 buffer (5120.00 MiB on device 1).",
        ),
        ("terminate called after throwing an instance of 'std::bad_alloc'", "There is not enough memory."),
        (
            "llama-chat.service: A process of this unit has been killed by the OOM killer.",
            "There is not enough memory.",
        ),
        ("CUDA error: an illegal memory access was encountered", "The GPU reports: an illegal memory access was enc"),
        (
            "llama-server: error while loading shared libraries: libcudart.so.13: cannot open shared object file: "
            "No such file or directory",
            "The shared library libcudart.so.13 cannot be loaded: cannot open shared object file: No such file",
        ),
        ("/bin/sh: line 1: 77 Illegal instruction     llama-server", "The build uses CPU instructions this host"),
        ("/build/llama.cpp/ggml/src/ggml.c:77: GGML_ASSERT(a == b) failed", "llama.cpp aborted: GGML_ASSERT(a == b)"),
        ("/x/ggml-rpc.cpp:9: Remote RPC server crashed or returned malformed response", "An RPC worker was lost"),
        ("0.00.000.001 E RPC server version mismatch: 6.0.0", "An RPC worker speaks another version: 6.0.0."),
        ("terminate called\n  what():  unable to do this", "llama.cpp stopped: unable to do this."),
        ("llama-x.service: Failed at step EXEC spawning /x: No such file or directory", "systemd says: Failed at step"),
        ("spawnerr: can't find command '/x/llama-server'", "supervisord cannot start the program: can't find"),
        (
            'error while handling environment variable "LLAMA_ARG_THREADS": stoi',
            "The environment variable LLAMA_ARG_THREADS has a bad value: stoi.",
        ),
        ("0.00.000.001 E ggml_cuda_init: failed to initialize CUDA: no driver", "CUDA cannot be used: no driver."),
        (
            "Nov 23 10:00:00 host llama-server[7]: 0.00.006.842 E gguf_init_from_file: failed to open GGUF file "
            "'/m/x.gguf' (Permission denied)",
            "The file /m/x.gguf cannot be opened: Permission denied.",
        ),
        ("Nov 23 10:00:00 host llama-server[7]: 0.00.006.842 I load: CUDA error: told, not had", None),
        (
            "0.00.000.001 E llama_model_load: error loading model: corrupted model: 9 tensors expected but 8 found",
            "The model file ends early or is damaged (9 tensors expected but 8 found).",
        ),
        ("error: the supplied chat template is not supported: x", "The chat template cannot be used."),
        ("sh: 1: exec: /x: Permission denied\nbye", "sh: 1: exec: /x: Permission denied."),
        # nothing known: the first error, not what failed because of it
        ("0.00.000.001 E srv    thing: it broke\n0.00.000.002 E srv    main: exiting", "it broke."),
        ("0.00.000.001 W srv  x: only a warning\n", None),
        ("all is well\n", None),
        ("", None),
    ],
)
def test_further_lines(log, reason):
    found = logreason.find(log)
    assert found is None if reason is None else (found or "").startswith(reason)


def test_what_a_model_says_about_itself_is_no_reason():
    metadata = "general.name str = CUDA error: out of memory"
    lines = [f"0.00.000.001 I llama_model_loader: {metadata}"]
    lines.append(json.dumps({"type": "log", "level": "info", "msg": metadata + " x" * 3000}))
    lines.append(json.dumps({"type": "fit_memory_breakdown", "data": {"name": metadata}}))
    assert logreason.find("\n".join(lines)) is None
    assert logreason.find("\n".join([*lines, "0.00.000.002 E srv  f: real"])) == "real."


def test_only_the_end_of_a_long_log_is_read():
    assert logreason.find("0.00.000.001 E srv  f: old\n" + "x" * (1 << 18)) is None


def test_reasons_are_short_and_printable():
    reason = logreason.find("0.00.000.001 E x: \x1b[31m\u202eevil\x07\u2028 " + "a" * 5000)
    assert reason is not None
    assert len(reason) <= 300
    assert reason.startswith("[31m evil a")
    assert reason.isprintable()


@given(st.text(), st.text())
def test_any_text_is_survived(first, second):
    for log in (
        first,
        f"0.00.000.001 E {first}\n{second}",
        '{"level":"error","msg":' + json.dumps(first) + "}",
        "{" + first,
    ):
        reason = logreason.find(log)
        assert reason is None or (len(reason) <= 300 and "\n" not in reason)


def test_nested_json_is_survived():
    assert logreason.find('{"a":' * 20000) is None


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (0, "without reporting an error"),
        (1, "reported an error"),
        (127, "shared library"),
        (132, "illegal instruction.*SIGILL"),
        (-4, "illegal instruction.*SIGILL"),
        (134, "aborted.*SIGABRT"),
        (137, "want of memory.*SIGKILL"),
        (139, "segmentation fault.*SIGSEGV"),
        (143, "before it was ready.*SIGTERM"),
        (141, "broken pipe"),
        (140, "ended by a signal.*SIGUSR2"),
        (203, "systemd could not execute"),
        (226, "mount namespace"),
        (243, "credentials"),
        (57, "status 57"),
        (-999, "status -999"),
    ],
)
def test_exit_statuses_in_words(status, says):
    assert re.search(says, logreason.exit_meaning(status))


def test_a_process_that_was_killed_says_by_what_unless_it_said_why_itself():
    """Under cgroup v1 the service manager does not know that a memory limit did it."""
    lines = "llama-chat.service: Main process exited, code=killed, status=9/KILL\nFailed with result 'signal'.\n"
    assert "memory limit" in logreason.find(lines)
    assert logreason.find("0.00.001.002 E srv load: it broke\n" + lines) == "it broke."
