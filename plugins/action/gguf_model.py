# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gguf_model with the progress of its downloads, and with files that come from another host of the inventory."""

from __future__ import annotations

from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.plugin_utils.long_job import LongJob
from ansible_collections.llamaops.llama_cpp.plugins.plugin_utils.relay import Relay


class ActionModule(LongJob):
    """See `LongJob`. Before the job, what another host has is brought from there; the job proves it."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        self._vars = task_vars or {}
        host, resolved = self._task.args.get("relay_from"), self._task.args.get("resolved")
        if host and resolved and not self._task.check_mode and host != self._vars.get("inventory_hostname"):
            found = self._execute_module(module_args={**self._task.args, "missing_only": True}, task_vars=self._vars)
            if found.get("failed"):
                return found
            paths = {file["sha256"]: file["path"] for item in resolved.values() for file in item["files"]}
            wanted = [(paths[item["sha256"]], item) for item in found["missing"]]
            if wanted:
                Relay(self, str(host), self._vars, self._show, self._interval()).bring(wanted)
        return super().run(tmp, task_vars)
