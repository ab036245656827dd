# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of one host of the inventory for another one, through the controller.

The bytes go from connection to connection in pieces, so that the controller needs neither their room on disk nor in
memory. A piece is written at its own place in the unfinished file: writing it twice does no harm, and whoever goes on
later begins at that file's end. Whether the bytes are right is for the module to say.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import become_loader, connection_loader
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import progress

_PIECE = 8 << 20  # bytes
_PATIENCE = 300.0  # seconds to wait for a host that cannot be reached
_PAUSE = 5.0
_BECAME = re.compile(rb"\ABECOME-SUCCESS-[a-z]+\r?\n")  # what sudo and the like are made to say


class Relay:
    """From another host to the one that `action` works on."""

    def __init__(
        self, action: ActionBase, host: str, task_vars: Mapping[str, Any], show: Callable[[str], None], interval: float
    ) -> None:
        if host not in task_vars["hostvars"]:
            raise AnsibleActionFail(f"relay_from names {host!r}, which is no host of the inventory.")
        self._to, self._host, self._show, self._interval = action, host, show, interval
        self._source = _connection(action, task_vars["hostvars"][host])

    def bring(self, wanted: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Bring files: pairs of the path there, and what gguf_model says is missing here."""
        total = sum(max(0, item["size"] - item["have"]) for _path, item in wanted)
        self._done, self._total, self._began, self._told = 0, total, time.monotonic(), time.monotonic()
        for path, item in wanted:
            self._file(path, item["part"], item["have"] if item["have"] <= item["size"] else 0, item["size"])

    def _file(self, path: str, part: str, have: int, size: int) -> None:
        """One file, from byte `have` on; while a piece is written the next one is read."""
        at, lost = have, 0.0
        with ThreadPoolExecutor(1) as pool:
            coming: Future[bytes] | None = None
            while at < size:
                try:
                    data = (coming or pool.submit(self._read, path, at, size)).result()
                    after = at + len(data)
                    coming = pool.submit(self._read, path, after, size) if after < size else None
                    self._write(part, at, data)
                    at, lost = after, 0.0
                    self._moved(len(data), part)
                except AnsibleConnectionFailure as exc:
                    coming = None
                    lost = lost or time.monotonic()
                    self._wait(lost, exc)

    def _read(self, path: str, at: int, size: int) -> bytes:
        count = min(_PIECE, size - at)
        words = ["dd", f"if={path}", "bs=1M", "iflag=skip_bytes,count_bytes", f"skip={at}", f"count={count}"]
        rc, data, errors = self._run(shlex.join([*words, "status=none"]))
        if rc or len(data) != count:
            why = errors.decode(errors="replace").strip()[:300] or f"{len(data)} of {count} bytes came"
            raise AnsibleActionFail(f"{self._host} does not give {path} from byte {at} on: {why}.")
        return data

    def _run(self, line: str) -> tuple[int, bytes, bytes]:
        """Status and output of a command on the other host, as bytes: text would cost more than the transport."""
        become = self._source.become
        if become:
            line = become.build_become_command(line, self._source._shell)
        # with something to read, no terminal is made, which would change bytes
        rc, data, errors = self._source.exec_command(line, in_data=b"\n", sudoable=bool(become))
        return rc, _BECAME.sub(b"", data, count=1), errors

    def _write(self, part: str, at: int, data: bytes) -> None:
        words = ["dd", f"of={part}", "bs=1M", "iflag=fullblock", "oflag=seek_bytes", f"seek={at}", "conv=notrunc"]
        said = self._to._low_level_execute_command(shlex.join([*words, "status=none"]), in_data=data)
        if said["rc"]:
            raise AnsibleActionFail(f"{part} cannot be written: {str(said['stderr']).strip()[:300]}.")

    def _moved(self, count: int, part: str) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._told >= self._interval:
            self._told = now
            rate = self._done / (now - self._began)
            self._show(f"from {self._host}: {progress.line(self._done, self._total, rate)}")

    def _wait(self, since: float, exc: Exception) -> None:
        if time.monotonic() - since > _PATIENCE:
            raise AnsibleActionFail(
                f"{self._host} or the host that wants its models could not be reached for {_PATIENCE:.0f} s. "
                "What came is kept; run this again."
            ) from exc
        self._show(f"the connection was lost while models came from {self._host}; going on")
        for connection in (self._source, self._to._connection):
            with contextlib.suppress(Exception):
                connection.reset()
        time.sleep(_PAUSE)


def _connection(action: ActionBase, known: Mapping[str, Any]) -> Any:
    """A connection to another host, reached and with the rights that its variables say."""
    context = action._play_context.copy()
    context.no_log = True  # else plugins make text of every piece for their log
    keys = action._task.dump_attrs()
    name = str(known.get("ansible_connection") or action._task.connection or C.DEFAULT_TRANSPORT)
    connection = connection_loader.get(
        name, context, task_uuid=action._task._uuid, ansible_playbook_pid=str(os.getppid())
    )
    if connection is None:
        raise AnsibleActionFail(f"There is no connection plugin {name!r}.")
    connection.set_options(task_keys=keys, var_options=_options("connection", connection._load_name, known))
    connection._shell.set_options(var_options=_options("shell", connection._shell._load_name, known))
    if boolean(known.get("ansible_become", action._task.become or False)):
        method = str(known.get("ansible_become_method") or action._task.become_method or C.DEFAULT_BECOME_METHOD)
        become = become_loader.get(method)
        if become is None:
            raise AnsibleActionFail(f"There is no become plugin {method!r}.")
        become.set_options(task_keys=keys, var_options=_options("become", become._load_name, known))
        connection.set_become_plugin(become)
    return connection


def _options(kind: str, name: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """What a host's variables say about a plugin."""
    return {each: known[each] for each in C.config.get_plugin_vars(kind, name) if each in known}
