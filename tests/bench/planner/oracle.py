# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""llama.cpp itself as the oracle: the compiled oracle.cpp, with GPUs and loopback RPC workers as devices."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from typing import Any

_ENVIRONMENT = {"GGML_NO_BACKTRACE": "1", "PATH": "/usr/bin:/bin"}


class OracleFailed(Exception):
    """The oracle refused a launch, or died of it."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Return when something listens there.

    :raises OracleFailed: nothing does within 20 s.
    """
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as found:
            if found.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise OracleFailed(f"no worker listens on port {port}")


class Oracle:
    """The oracle process and its workers; a context manager.

    :param program: the compiled oracle.cpp.
    :param worker: ggml-rpc-server of the same build.
    :param devices: how many; `local` names the first of them, such as CUDA0, and the others are workers.
    """

    def __init__(self, program: str, worker: str, devices: int, local: Sequence[str] = ()) -> None:
        self._program, self._worker, self._count = program, worker, devices - len(local)
        self._local = list(local)
        self._workers: list[subprocess.Popen[bytes]] = []
        self._endpoints: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115

    def __enter__(self) -> Oracle:
        return self

    def _start(self) -> subprocess.Popen[str]:
        """New workers and a new process: a worker may have died with the old one."""
        for _worker in range(self._count):
            port = _free_port()
            argv = ["nice", self._worker, "-H", "127.0.0.1", "-p", str(port), "-t", "1", "-d", "CPU"]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            self._workers.append(subprocess.Popen(argv, env={**_ENVIRONMENT, "CUDA_VISIBLE_DEVICES": ""}, **quiet))
            self._endpoints.append(f"127.0.0.1:{port}")
        for endpoint in self._endpoints:
            wait_for(int(endpoint.partition(":")[2]))
        return subprocess.Popen(
            ["nice", self._program, *self._local, *self._endpoints],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=_ENVIRONMENT,
        )

    def __exit__(self, *exc: object) -> None:
        self._stop()

    def _stop(self) -> None:
        for process in (self._process, *self._workers):
            if process is not None:
                process.kill()
                process.wait()
        self._process, self._workers, self._endpoints = None, [], []

    def ask(self, cmd: str, **request: Any) -> dict[str, Any]:
        """One answer.

        :raises OracleFailed: the launch was refused, or the process died.
        """
        if self._process is None:
            self._process = self._start()
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise OracleFailed("no pipes")
        stdin.write(json.dumps({"cmd": cmd, **request}) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            self._stop()
            self._errors.seek(0)
            text = self._errors.read()[-400:]
            raise OracleFailed(f"it died: {text}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise OracleFailed(answer["error"])
        return answer
