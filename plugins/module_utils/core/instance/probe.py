# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a llama-server answer? One file of the standard library that imports nothing else.

The core imports it; on hosts it is installed as `<root>/libexec/llama-probe`:

    llama-probe URL [--key-file FILE] [--kind KIND] [--timeout SECONDS]
    llama-probe URL --wait SECONDS
    llama-probe URL --look [--key-file FILE] [--sleepy]

A URL is `http://host:port`, `https://host:port#FILE` (the PEM certificate that the server must show) or `unix:PATH`.
The first form has the server do real work. The second only waits until it is ready to; in a unit's
`ExecStartPost=` it gives up when the main process (`$MAINPID`) is gone. The third tells whether it works, and on
what, without having it work or waking it. All print one JSON object and end with 0 when all is well, with 1 when not.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import socket
import ssl
import sys
import time
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any

KINDS = ("server", "embedding", "rerank", "router", "transformers")
READY, LOADING, UNREACHABLE, SLEEPING = "ready", "loading", "unreachable", "sleeping"
_LARGEST_ANSWER = 16 << 20
_PARTIAL_CHAIN = 0x80000  # X509_V_FLAG_PARTIAL_CHAIN: the certificate itself is the anchor; ssl names it since 3.10


class ProbeError(Exception):
    """An answer that is an error (`status` is HTTP's) or none (0); not `asked` where we may not use its socket."""

    def __init__(self, text: str, status: int = 0, asked: bool = True) -> None:
        super().__init__(text)
        self.status, self.asked = status, asked


def request(url: str, path: str, body: Any = None, key: str | None = None, timeout: float = 10.0) -> tuple[int, Any]:
    """Ask a server; returns the HTTP status and the decoded JSON (or text) of its answer.

    :param url: see above; proxies of the environment are not used.
    :raises ProbeError: no connection, another certificate, no answer in time, or an answer of more than 16 MiB.
    """
    connection = _connection(url, timeout)
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request("POST" if data else "GET", path, data, headers)
        answer = connection.getresponse()
        text = answer.read(_LARGEST_ANSWER + 1)
    except (OSError, http.client.HTTPException) as exc:
        asked = not isinstance(exc, PermissionError)
        raise ProbeError(f"{url}{path}: {exc or type(exc).__name__}", asked=asked) from exc
    finally:
        connection.close()
    if len(text) > _LARGEST_ANSWER:
        raise ProbeError(f"{url}{path}: the answer is larger than 16 MiB")
    return answer.status, _decode(text)


def health(url: str, timeout: float = 2.0) -> str:
    """`ready`, `loading` (it answers 503) or `unreachable`. Needs no key."""
    try:
        return READY if request(url, "/health", timeout=timeout)[0] == 200 else LOADING
    except ProbeError:
        return UNREACHABLE


def wait_ready(url: str, seconds: float, alive: Callable[[], bool] = lambda: True) -> str:
    """Wait until `/health` says ready, the process is gone, or the time is over; returns the last state."""
    deadline = time.monotonic() + seconds
    pause = 0.05
    while (state := health(url)) != READY and time.monotonic() < deadline and alive():
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)
    return state


def one_token(url: str, key: str | None = None, timeout: float = 60.0, model: str | None = None) -> dict[str, Any]:
    """Have a server generate a few tokens; returns `{text, tokens, tokens_per_second}`. A router needs a model.

    :raises ProbeError: it refused, or no token came.
    """
    body = {"prompt": "Hello", "n_predict": 4, "temperature": 0.0, "cache_prompt": False}  # the first is not timed
    status, answer = request(url, "/completion", _for(model, body), key, timeout)
    count = answer.get("tokens_predicted") if status == 200 and isinstance(answer, dict) else 0
    if not count:
        raise ProbeError(f"{url}/completion answered {status} without a token: {_reason(answer)}", status)
    return {"text": str(answer.get("content", "")), "tokens": count, "tokens_per_second": speed(answer.get("timings"))}


def speed(timings: Any) -> float | None:
    """Tokens a second, None if unknown. The clock of llama-server starts when the first one is there."""
    said = timings if isinstance(timings, dict) else {}
    return round((said.get("predicted_n", 1) - 1) * 1000 / (said.get("predicted_ms") or math.inf), 2) or None


def one_embedding(url: str, key: str | None = None, timeout: float = 60.0, model: str | None = None) -> dict[str, Any]:
    """Have a server embed a word; returns `{dimensions}`.

    :raises ProbeError: it refused, or the vector is empty or all zeros.
    """
    status, answer = request(url, "/v1/embeddings", _for(model, {"input": "Hello"}), key, timeout)
    try:
        vector = answer["data"][0]["embedding"]
        good = status == 200 and any(float(value) for value in vector)
    except (KeyError, IndexError, TypeError, ValueError):
        good = False
    if not good:
        raise ProbeError(f"{url}/v1/embeddings answered {status}: {_reason(answer)}", status)
    return {"dimensions": len(vector)}


def scores(
    url: str, query: str, texts: Sequence[str], key: str | None = None, timeout: float = 60.0, model: str | None = None
) -> list[float]:
    """Have a server score documents against a query; returns the scores in the order of the texts.

    :raises ProbeError: it refused, or its answer has another shape.
    """
    body = {"query": query, "documents": list(texts)}
    status, answer = request(url, "/v1/rerank", _for(model, body), key, timeout)
    try:
        by_index = {int(item["index"]): float(item["relevance_score"]) for item in answer["results"]}
        found = [by_index[index] for index in range(len(texts))]
        good = status == 200 and all(math.isfinite(score) for score in found)
    except (KeyError, IndexError, TypeError, ValueError):
        good = False
    if not good:
        raise ProbeError(f"{url}/v1/rerank answered {status}: {_reason(answer)}", status)
    return found


def models(url: str, key: str | None = None, timeout: float = 10.0, reload: bool = False) -> dict[str, dict[str, str]]:
    """The models of a router: name -> `{state, kind}`; states are unloaded, loading, loaded, sleeping and failed.

    :param reload: first have it read its sources again, which unloads what changed and nothing else.
    """
    status, answer = request(url, "/models?reload=1" if reload else "/models", key=key, timeout=timeout)
    found = {}
    try:
        for item in answer["data"]:
            said, argv = item["status"], item["status"].get("args", [])
            kind = "rerank" if {"--rerank", "--reranking"} & set(argv) else "server"
            kind = "embedding" if {"--embedding", "--embeddings"} & set(argv) else kind
            found[item["id"]] = {"state": "failed" if said.get("failed") else said["value"], "kind": kind}
    except (AttributeError, KeyError, TypeError):
        raise ProbeError(f"{url}/models answered {status}: {_reason(answer)}", status) from None
    return found


def look(url: str, key: str | None = None, sleepy: bool = False, timeout: float = 5.0) -> dict[str, Any]:
    """What a server says of itself: `{state, busy, progress}`; `progress` changes with every token, None if unknown.

    :param sleepy: the model may sleep: `/slots` would wake it or keep it awake, `/metrics` does neither.
    """
    state = health(url, timeout)
    if state != READY:
        return {"state": state, "busy": False, "progress": None}
    try:
        _status, props = request(url, "/props", key=key, timeout=timeout)
        if isinstance(props, dict) and props.get("is_sleeping"):
            return {"state": SLEEPING, "busy": False, "progress": None}
        status, said = request(url, "/metrics" if sleepy else "/slots", key=key, timeout=timeout)
    except ProbeError:  # health is answered aside, these by the loop that also computes: it is at work, or stuck
        return {"state": state, "busy": True, "progress": None}
    if status != 200:
        return {"state": state, "busy": False, "progress": None}
    if isinstance(said, list):
        slots = [slot for slot in said if isinstance(slot, dict)]
        busy = any(slot.get("is_processing") for slot in slots)
        return {"state": state, "busy": busy, "progress": [_progress(slot) for slot in slots]}
    counts = [line.split() for line in str(said).splitlines() if line.startswith("llamacpp:")]
    total = {words[0]: words[1] for words in counts if len(words) == 2 and words[0].endswith("_total")}
    busy = any(words[0] == "llamacpp:requests_processing" and words[-1].strip("0.") for words in counts)
    return {"state": state, "busy": busy, "progress": total or None}


def _progress(slot: dict[str, Any]) -> list[Any]:
    said = slot.get("next_token")
    token = said[0] if isinstance(said, list) and said else said
    decoded = token.get("n_decoded") if isinstance(token, dict) else None
    return [slot.get("id_task"), slot.get("n_prompt_tokens_processed"), decoded]


def prove(
    kind: str, url: str, key: str | None = None, timeout: float = 60.0, model: str | None = None
) -> dict[str, Any]:
    """A real answer of the kind of work an instance, or a model of a router, does.

    Of a router, of every model that is loaded: `{models}`, name -> its proof. None is loaded or woken.
    """
    if kind == "router":
        loaded = {name: item["kind"] for name, item in models(url, key).items() if item["state"] == "loaded"}
        return {"models": {name: prove(kind, url, key, timeout, name) for name, kind in loaded.items()}}
    if kind == "transformers":  # what its model is for shows when it is asked
        status = request(url, "/v1/rerank", {"query": "Hello?", "documents": ["Hello."]}, key, timeout)[0]
        return prove("embedding" if status == 501 else "rerank", url, key, timeout)
    if kind == "embedding":
        return one_embedding(url, key, timeout, model)
    if kind == "rerank":
        return {"scores": scores(url, "Hello?", ["Hello.", "Goodbye."], key, timeout, model)}
    return one_token(url, key, timeout, model)


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    try:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme == "unix":
            return _OverSocket(parts.path, timeout)
        if parts.scheme != "https":
            return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        context = ssl.create_default_context(cafile=parts.fragment or None)
        if parts.fragment:  # it must be this very certificate, whatever names it has
            context.check_hostname = False
            context.verify_flags |= ssl.VerifyFlags(_PARTIAL_CHAIN)
        return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout, context=context)
    except (OSError, ValueError) as exc:
        raise ProbeError(f"{url}: {exc or type(exc).__name__}") from exc


class _OverSocket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def _for(model: str | None, body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "model": model} if model else body


def _decode(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode("utf-8", "replace")


def _reason(answer: Any) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    return str(error.get("message", "") if isinstance(error, dict) else answer)[:300]


def _main_process_lives() -> bool:
    pid = os.environ.get("MAINPID", "")
    return not pid.isdigit() or os.path.exists(f"/proc/{pid}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Have a llama-server answer once.")
    parser.add_argument("url")
    parser.add_argument("--key-file")
    parser.add_argument("--kind", choices=KINDS, default="server")
    parser.add_argument("--timeout", type=float, default=60.0)
    parser.add_argument("--wait", type=float)
    for switch in ("--look", "--sleepy"):
        parser.add_argument(switch, action="store_true")
    said = _answer(parser.parse_args())
    sys.stdout.write(json.dumps(said) + "\n")
    return 0 if said["ok"] else 1


def _answer(wanted: argparse.Namespace) -> dict[str, Any]:
    if wanted.wait is not None:
        state = wait_ready(wanted.url, wanted.wait, _main_process_lives)
        return {"ok": state == READY, "state": state}
    key = None
    try:
        if wanted.key_file:
            with open(wanted.key_file, encoding="utf-8") as file:
                key = next((line.strip() for line in file if line.strip() and not line.startswith("#")), None)
        if wanted.look:
            seen = look(wanted.url, key, wanted.sleepy)
            return {"ok": seen["state"] in (READY, SLEEPING), **seen}
        return {"ok": True, **prove(wanted.kind, wanted.url, key, wanted.timeout)}
    except (ProbeError, OSError) as exc:
        status, asked = getattr(exc, "status", 0), getattr(exc, "asked", False)
        return {"ok": False, "reason": str(exc), "status": status, "asked": asked}


if __name__ == "__main__":
    raise SystemExit(main())
