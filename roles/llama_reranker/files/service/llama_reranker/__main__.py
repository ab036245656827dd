# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""llama_reranker --model FOLDER --host HOST --port PORT: serve one model.

Flags that llama-server has too have the names they have there. Ends with 1 when the model cannot be loaded.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
from pathlib import Path

# before any library reads them: nothing is fetched, nothing is reported to anybody
os.environ.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"})

import uvicorn

from .api import Service, create_app
from .batching import Batcher
from .model import LoadError, NotThere, load

MISCONFIGURED = 78  # EX_CONFIG of sysexits.h: units do not start it again, since nothing would change


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("llama_reranker", description="Serve a reranker or an embedding model.")
    parser.add_argument("--model", required=True, help="folder with config.json, a tokenizer and safetensors")
    parser.add_argument("--alias", help="name of the model for clients; the name of the folder by default")
    parser.add_argument("--task", choices=["auto", "rerank", "embedding"], default="auto")
    parser.add_argument("--host", default="127.0.0.1", help="address, or path of a Unix socket that ends with .sock")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--api-key-file", help="one key a line; without it everybody may ask")
    parser.add_argument("--ssl-key-file")
    parser.add_argument("--ssl-cert-file")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N; auto is a GPU where there is one")
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16", "float16"], default="auto")
    parser.add_argument("--threads", type=int, help="threads on the CPU")
    parser.add_argument("--max-length", type=int, help="tokens of an input; longer ones are cut")
    parser.add_argument("--batch-tokens", type=int, default=16384, help="tokens, padding included, of one batch")
    parser.add_argument("--max-queue", type=int, default=4096, help="inputs that may wait; more are refused with 503")
    parser.add_argument("--max-body", type=int, default=16 << 20, help="bytes of one request")
    parser.add_argument("--scores", choices=["raw", "sigmoid"], default="raw", help="what a cross-encoder answers")
    return parser


def read_keys(path: str | None) -> list[str]:
    """The keys of a file as llama-server reads it: one a line, lines that begin with # are comments."""
    if not path:
        return []
    lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise LoadError(f"{path} holds no key, so nobody could ask.")
    return keys


def status(problem: Exception) -> int:
    return MISCONFIGURED if isinstance(problem, LoadError) and not isinstance(problem, NotThere) else 1


async def serve(given: argparse.Namespace) -> int:
    """Listen at once and load meanwhile, as llama-server does: /health answers 503 until the model is there."""
    service = Service(alias=given.alias or Path(given.model).name, keys=read_keys(given.api_key_file))
    where = {"uds": given.host} if given.host.endswith(".sock") else {"host": given.host, "port": given.port}
    config = uvicorn.Config(
        create_app(service, given.max_body),
        **where,
        ssl_keyfile=given.ssl_key_file,
        ssl_certfile=given.ssl_cert_file,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=30,
    )
    server = uvicorn.Server(config)
    failure: list[tuple[int, str]] = []

    def bring_up() -> None:
        try:
            model = load(
                given.model, given.task, given.device, given.dtype, given.max_length, given.threads, given.scores
            )
            service.begin(model, Batcher(model.run, given.batch_tokens, given.max_queue))
            for name, size in model.placed().items():  # in the words of llama.cpp, so that one reader knows both
                print(f"{name} model buffer size = {size / (1 << 20):.2f} MiB", file=sys.stderr)
            print(f"model loaded: {service.alias}, {model.task} on {model.device}", file=sys.stderr, flush=True)
        except Exception as exc:  # noqa: BLE001  whatever a library raises over a model, the process must end
            ours = isinstance(exc, LoadError)
            failure.append((status(exc), str(exc) if ours else f"{type(exc).__name__}: {exc}"))
            server.should_exit = True

    threading.Thread(target=bring_up, name="load", daemon=True).start()
    await server.serve()
    service.end()
    if failure:
        print(f"E cannot load the model: {failure[0][1]}", file=sys.stderr, flush=True)
    return failure[0][0] if failure else 0


def main() -> int:
    try:
        return asyncio.run(serve(arguments().parse_args()))
    except (LoadError, OSError) as exc:
        print(f"E {exc}", file=sys.stderr)
        return status(exc)


if __name__ == "__main__":
    raise SystemExit(main())
