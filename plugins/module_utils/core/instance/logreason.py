# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a llama.cpp program did not start, in the words of a person."""

from __future__ import annotations

import json
import re
import signal
import unicodedata

_LONGEST = 300
_LARGEST_LOG = 1 << 18
_LARGEST_MESSAGE = 2000

# `M.SS.mmm.uuu L message` (common/log.cpp), a journal's own prefix before it allowed
_LINE = re.compile(r"\b\d+\.\d\d\.\d{3}\.\d{3} ([A-Z]) (.*)", re.A)
_KILLED = re.compile(r"Main process exited, code=(?:killed|dumped), status=(\d+)/")  # systemd
_WHERE = re.compile(r"^(?:[a-z]{2,4} +)?[\w:]+(?:\(\))?: (?:error loading model: )?", re.A)
_COMPLAINT = re.compile(r"\b(?:error|failed|cannot|could not|no such|denied|not found)\b", re.I)

_NO_MEMORY = re.compile(
    r"insufficient memory|out of memory|(?:failed|unable) to allocate (?!.*pinned)|bad_alloc|OutOf\w*Memory"
    r"|Cannot allocate memory|oom-kill|OOM killer",
    re.I,
)
_MEMORY_FOR = re.compile(
    r"failed to allocate (?:buffer for )?(\w+ cache|compute \w* ?buffers)|unable to allocate (\S+ buffer)"
)
_MEMORY_SIZE = re.compile(r"(?:attempted to allocate|allocating) ([\d.]+ \w+(?: on device \d+)?)")

# What upstream prints -> what it means; the first rule that any error line matches counts.
_RULES = [
    (re.compile(pattern), sentence)
    for pattern, sentence in (
        # arguments (common/arg.cpp); these come as bare lines before logging starts
        (r"invalid argument: (\S+)", "This build does not know the flag {0}"),
        (r'argument "(\S+?)": the argument has been removed\. (.+)', "The flag {0} was removed from llama.cpp: {1}"),
        (r'argument "(\S+?)": invalid device: (.+)', "The device {1}, given by {0}, does not exist on this host"),
        (r'argument "(\S+?)": (?:error: )?failed to open file (.+)', "The file {1}, given by {0}, cannot be opened"),
        (r'argument "(\S+?)": sto[a-z]+$', "The flag {0} needs a number"),
        (r'argument "(\S+?)": (?:error: )?(.+)', "The flag {0} does not accept its value: {1}"),
        (r'environment variable "(\S+?)": (.+)', "The environment variable {0} has a bad value: {1}"),
        # files (ggml/src/gguf.cpp, src/llama-model-loader.cpp)
        (
            r"failed to open (?:GGUF file )?'(.+-(\d{5})-of-(\d{5})\.gguf)'[ :(]+(.+?)\)?$",
            "Shard {1} of {2} of the model cannot be opened ({0}): {3}",
        ),
        (r"failed to open (?:GGUF file )?'(.+?)'[ :(]+(.+?)\)?$", "The file {0} cannot be opened: {1}"),
        (r"illegal split file idx: .*\(file: (.+?)\)", "The model must be loaded by its first shard, not by {0}"),
        (r"invalid magic characters", "The model is not a GGUF file"),
        (r"failed to read (magic|header|key-value pairs|tensor \w+)", "The model file ends early or is damaged ({0})"),
        (r"(tensor '.+?') data is not within the file", "The model file ends early or is damaged ({0})"),
        (r"corrupted model: (.+)", "The model file ends early or is damaged ({0})"),
        (
            r"unknown (model architecture|(?:pre-)?tokenizer)(?: type)?: (.+)",
            "This build does not know the {0} {1}; a newer llama.cpp may",
        ),
        # the network (tools/server/server-http.cpp, ggml/src/ggml-rpc)
        (
            r"couldn't bind HTTP server socket, hostname: (\S+\.sock),",
            "The server cannot listen on {0}: a socket of an earlier run is in the way, or the folder is not writable",
        ),
        (
            r"couldn't bind HTTP server socket, hostname: (.+), port: (\d+)",
            "The server cannot listen on {0} port {1}: the port is in use, the address is not of this host, "
            "or a TLS file cannot be used",
        ),
        (r"Failed to connect to (\S+:\d+)", "The RPC worker {0} does not answer"),
        (r"RPC server version mismatch: (.+)", "An RPC worker speaks another version: {0}"),
        (r"Remote RPC server crashed", "An RPC worker was lost, or is no ggml-rpc-server"),
        # the host
        (r"error while loading shared libraries: (.+?): (.+)", "The shared library {0} cannot be loaded: {1}"),
        (r"[Ii]llegal instruction", "The build uses CPU instructions this host does not have"),
        (r"(Failed (?:at step \w+ spawning|to set up|to locate executable|to execute) .+)", "systemd says: {0}"),
        (r"spawnerr: (.+)", "supervisord cannot start the program: {0}"),
        # contents
        (r"common_chat_templates_init: error: (.+)", "The chat template cannot be used: {0}"),
        (r"the supplied chat template is not supported", "The chat template cannot be used"),
        (r"failed to create MTP context", "The model has no layers for multi-token prediction (draft-mtp)"),
        (r"failed to initialize speculative decoding context: (.+)", "Speculative decoding cannot be set up: {0}"),
        # ends without a reason of their own
        (r"CUDA error: (.+)", "The GPU reports: {0}"),
        (r"\.(?:c|cc|cpp|cu|cuh|h|m):\d+: (.+)", "llama.cpp aborted: {0}"),
        (r"what\(\): +(.+)", "llama.cpp stopped: {0}"),
        (r"failed to initialize (CUDA|ROCm): (.+)", "{0} cannot be used: {1}"),
    )
]

_SIGNALS = {
    signal.SIGABRT: "it aborted: a failed assertion, a lost RPC worker or a device error",
    signal.SIGBUS: "bus error: a file it had mapped became shorter or unreadable",
    signal.SIGILL: "illegal instruction: the build uses CPU instructions this host does not have",
    signal.SIGINT: "it was interrupted",
    signal.SIGKILL: "it was killed, mostly by the kernel or a memory limit for want of memory",
    signal.SIGPIPE: "broken pipe: a peer went away while it was writing",
    signal.SIGSEGV: "segmentation fault: a defect of the program or its driver",
    signal.SIGTERM: "it was asked to stop before it was ready",
}
_STATUSES = {
    0: "it ended without reporting an error",
    1: "it reported an error",
    78: "its configuration is wrong",
    126: "the program may not be executed",
    127: "a shared library or the program itself is missing",
    # systemd.exec(5), "Process Exit Codes"
    200: "systemd could not enter the working directory",
    203: "systemd could not execute the program: it is missing, not executable or made for another machine",
    216: "systemd could not set the group",
    217: "systemd could not find or set the user",
    226: "systemd could not set up the mount namespace: a path the unit names is missing",
    243: "systemd could not load the credentials: a key file is missing or unreadable",
}


def find(log_text: str) -> str | None:
    """The reason of a failed start, one sentence of at most 300 characters; None when the log has none.

    :param log_text: what one start wrote: plain lines or those of --log-jsonl, with anything between them.
        It is not trusted.
    """
    errors, bare = _messages(log_text[-_LARGEST_LOG:])
    reason = _memory(errors + bare) or _by_rule(errors + bare) or _first(errors, bare)
    return clean(reason, _LONGEST - 1).rstrip(".") + "." if reason else None


def exit_meaning(status: int) -> str:
    """What an exit status says; a negative one, or one of 129 to 192, stands for a signal."""
    if status in _STATUSES:
        return f"{_STATUSES[status]} (status {status})"
    number = -status if status < 0 else status - 128
    try:
        ended_by = signal.Signals(number)
    except ValueError:
        return f"it ended with status {status}"
    return f"{_SIGNALS.get(ended_by, 'it was ended by a signal')} ({ended_by.name})"


def clean(text: str, limit: int = _LONGEST) -> str:
    """One line of at most `limit` characters without control characters; the text comes from elsewhere."""
    visible = "".join(" " if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char for char in text)
    line = " ".join(visible.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _messages(text: str) -> tuple[list[str], list[str]]:
    """The messages of error level, and the lines that no logger wrote, in their order."""
    errors: list[str] = []
    bare: list[str] = []
    for line in text.split("\n"):
        level, message = _record(line)
        if level == "E":
            errors.append(message[:_LARGEST_MESSAGE])
        elif level is None and message:
            bare.append(message[:_LARGEST_MESSAGE])
    return errors, bare


def _record(line: str) -> tuple[str | None, str]:
    """Level (E, W, I, D) and message of a line; no level when no logger wrote it."""
    found = _LINE.search(line)
    if found:
        return found[1], found[2].strip()
    try:
        record = json.loads(line) if line.startswith("{") else None
    except (ValueError, RecursionError):
        record = None
    if record is None:
        return None, line.strip()
    # records of another type, such as fit_memory_breakdown, have no level and no message
    return str(record.get("level"))[:1].upper(), str(record.get("msg")).strip()


def _memory(messages: list[str]) -> str | None:
    if not any(_NO_MEMORY.search(message) for message in messages):
        return None
    purpose = next((found[1] or found[2] for found in map(_MEMORY_FOR.search, messages) if found), None)
    size = next((found[1] for found in map(_MEMORY_SIZE.search, messages) if found), None)
    return "There is not enough memory" + (f" for the {purpose}" if purpose else "") + (f" ({size})" if size else "")


def _by_rule(messages: list[str]) -> str | None:
    for pattern, sentence in _RULES:
        for message in messages:
            found = pattern.search(message)
            if found:
                return sentence.format(*found.groups())
    return None


def _first(errors: list[str], bare: list[str]) -> str | None:
    """The first error: those after it tell what failed because of it (upstream wraps errors on their way out)."""
    if errors:
        return _WHERE.sub("", errors[0])
    killed = next((found for found in map(_KILLED.search, bare) if found), None)
    if killed:
        said = exit_meaning(-int(killed[1]))
        return said[0].upper() + said[1:]
    return next((line for line in bare if _COMPLAINT.search(line)), None)
