# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a llama-server answer? One file of the standard library that imports nothing else.

The core imports it; on hosts it is installed as `<root>/libexec/llama-probe`:

    llama-probe URL [--key-file FILE] [--kind server|embedding] [--timeout SECONDS]
    llama-probe URL --wait SECONDS
    llama-probe URL --look [--key-file FILE] [--sleepy]

The first form has the server do real work. The second only waits until it is ready to; in a unit's
`ExecStartPost=` it gives up when the main process (`$MAINPID`) is gone. The third tells whether it works, and on
what, without having it work or waking it. All print one JSON object and end with 0 when all is well, with 1 when not.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

READY, LOADING, UNREACHABLE, SLEEPING = "ready", "loading", "unreachable", "sleeping"
_LARGEST_ANSWER = 16 << 20


class ProbeError(Exception):
    """The server answered with an error (`status` is its HTTP status), or not in time (0); the text says which."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


def request(url: str, path: str, body: Any = None, key: str | None = None, timeout: float = 10.0) -> tuple[int, Any]:
    """Ask a server; returns the HTTP status and the decoded JSON (or text) of its answer.

    :param url: `http://host:port`; proxies of the environment are not used.
    :raises ProbeError: no connection, no answer in time, or an answer of more than 16 MiB.
    """
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=timeout)
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request("GET" if data is None else "POST", path, data, headers)
        answer = connection.getresponse()
        text = answer.read(_LARGEST_ANSWER + 1)
    except (OSError, http.client.HTTPException) as exc:
        raise ProbeError(f"{url}{path}: {exc or type(exc).__name__}") from exc
    finally:
        connection.close()
    if len(text) > _LARGEST_ANSWER:
        raise ProbeError(f"{url}{path}: the answer is larger than 16 MiB")
    return answer.status, _decode(text)


def health(url: str, timeout: float = 2.0) -> str:
    """`ready`, `loading` (it answers 503) or `unreachable`. Needs no key."""
    try:
        status, _body = request(url, "/health", timeout=timeout)
    except ProbeError:
        return UNREACHABLE
    return READY if status == 200 else LOADING


def wait_ready(url: str, seconds: float, alive: Callable[[], bool] = lambda: True) -> str:
    """Wait until `/health` says ready, the process is gone, or the time is over; returns the last state."""
    deadline = time.monotonic() + seconds
    pause = 0.05
    while True:
        state = health(url)
        if state == READY or time.monotonic() >= deadline or not alive():
            return state
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)


def one_token(url: str, key: str | None = None, timeout: float = 60.0, tokens: int = 1) -> dict[str, Any]:
    """Have a server generate; returns `{text, tokens}`.

    :raises ProbeError: it refused, or no token came.
    """
    body = {"prompt": "Hello", "n_predict": tokens, "temperature": 0.0, "cache_prompt": False}
    status, answer = request(url, "/completion", body, key, timeout)
    if status != 200 or not isinstance(answer, dict):
        raise ProbeError(f"{url}/completion answered {status}: {_reason(answer)}", status)
    count = answer.get("tokens_predicted")
    if not isinstance(count, int) or count < 1:
        raise ProbeError(f"{url}/completion answered without a token")
    return {"text": str(answer.get("content", "")), "tokens": count}


def one_embedding(url: str, key: str | None = None, timeout: float = 60.0) -> dict[str, Any]:
    """Have a server embed a word; returns `{dimensions}`.

    :raises ProbeError: it refused, or the vector is empty or all zeros.
    """
    status, answer = request(url, "/v1/embeddings", {"input": "Hello"}, key, timeout)
    try:
        vector = answer["data"][0]["embedding"]
        good = status == 200 and any(float(value) for value in vector)
    except (KeyError, IndexError, TypeError, ValueError):
        good = False
    if not good:
        raise ProbeError(f"{url}/v1/embeddings answered {status}: {_reason(answer)}", status)
    return {"dimensions": len(vector)}


def busy_slots(url: str, key: str | None = None) -> int:
    """How many requests a server works on now; 0 where it does not say (no `/slots`, no answer)."""
    try:
        status, answer = request(url, "/slots", key=key, timeout=5.0)
    except ProbeError:
        return 0
    if status != 200 or not isinstance(answer, list):
        return 0
    return sum(1 for slot in answer if isinstance(slot, dict) and slot.get("is_processing"))


def look(url: str, key: str | None = None, sleepy: bool = False, timeout: float = 10.0) -> dict[str, Any]:
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


def prove(kind: str, url: str, key: str | None = None, timeout: float = 60.0) -> dict[str, Any]:
    """A real answer of the kind of work an instance does (`server` or `embedding`)."""
    return one_embedding(url, key, timeout) if kind == "embedding" else one_token(url, key, timeout)


def _decode(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode("utf-8", "replace")


def _reason(answer: Any) -> str:
    if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
        return str(answer["error"].get("message", ""))[:300]
    return str(answer)[:300]


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")


def _main_process_lives() -> bool:
    pid = os.environ.get("MAINPID", "")
    return not pid.isdigit() or os.path.exists(f"/proc/{pid}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Have a llama-server answer once.")
    parser.add_argument("url")
    parser.add_argument("--key-file")
    parser.add_argument("--kind", choices=["server", "embedding"], default="server")
    parser.add_argument("--timeout", type=float, default=60.0)
    parser.add_argument("--wait", type=float)
    parser.add_argument("--look", action="store_true")
    parser.add_argument("--sleepy", action="store_true")
    wanted = parser.parse_args()
    if wanted.wait is not None:
        state = wait_ready(wanted.url, wanted.wait, _main_process_lives)
        _say({"ok": state == READY, "state": state})
        return int(state != READY)
    key = None
    try:
        if wanted.key_file:
            with open(wanted.key_file, encoding="utf-8") as file:
                key = next((line.strip() for line in file if line.strip() and not line.startswith("#")), None)
        if wanted.look:
            seen = look(wanted.url, key, wanted.sleepy)
            _say({"ok": seen["state"] in (READY, SLEEPING), **seen})
            return int(seen["state"] not in (READY, SLEEPING))
        _say({"ok": True, **prove(wanted.kind, wanted.url, key, wanted.timeout)})
    except (ProbeError, OSError) as exc:
        _say({"ok": False, "reason": str(exc), "status": getattr(exc, "status", 0)})
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
