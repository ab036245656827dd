# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""llama_build with the progress of the compile, and with artifacts brought from one host to the others.

With the option `ship` the builder compiles, packs, and leaves the artifact in the controller's cache; every other host
gets what the builder's last answer to the same request was. Without it each host builds for itself.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping
from typing import Any, Callable

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible_collections.llamaops.llama_cpp.plugins.plugin_utils.artifact_cache import Artifact, Cache, request_key
from ansible_collections.llamaops.llama_cpp.plugins.plugin_utils.long_job import LongJob

_KEYS = {"cache", "builder", "target"}
_CACHE = "~/.cache/llamaops/artifacts"
# what a host that gets an artifact still decides for itself
_OWN = ("root", "scope", "activate", "keep", "lock_timeout", "speed_gate", "refused")
_ATTEMPTS = 3  # to move a file over a connection that breaks


class ActionModule(LongJob):
    """See `LongJob`."""

    def _perform(self, arguments: dict[str, Any]) -> dict[str, Any]:
        ship = arguments.pop("ship", None)
        source = arguments.get("source") or {}
        if arguments.get("active") or arguments.get("state") == "absent":  # a moment's work
            return self._execute_module(module_args=arguments, task_vars=self._vars, wrap_async=self._task.async_val)
        if not ship or source.get("type") == "artifact":
            return self._build(arguments)
        if not isinstance(ship, dict) or set(ship) - _KEYS or not ship.get("target"):
            raise AnsibleActionFail(f"ship needs target, and has nothing but {', '.join(sorted(_KEYS))}.")
        if self._task.async_val:
            raise AnsibleActionFail("ship and async do not go together; the build is watched without async too.")
        self._cache = Cache(str(ship.get("cache") or _CACHE))
        key, host = request_key(arguments, str(ship["target"])), str(self._vars["inventory_hostname"])
        builder = str(ship.get("builder") or host)
        return self._make(arguments, key) if builder == host else self._take(arguments, key, builder)

    def _build(self, arguments: dict[str, Any], **extra: Any) -> dict[str, Any]:
        """Run the module: at once where it only looks, as a job that is watched where there is something to do."""
        if not self._task.check_mode and not self._task.async_val:
            with self._checking():
                seen = self._execute_module(module_args={**arguments, **extra}, task_vars=self._vars)
            if not seen.get("failed") and not seen.get("changed"):
                return seen
        return super()._perform(arguments, **extra)

    def _make(self, arguments: dict[str, Any], key: str) -> dict[str, Any]:
        """Build on this host, unless the cache has that build, and leave the artifact in the cache."""
        if self._task.check_mode:
            return self._build(arguments)
        with self._cache.lock(key, lambda: self._show("waits for another play that builds the same")):
            result = self._build(arguments, artifacts=self._cache.ids())
            if result.get("failed") and result.get("needs_artifact"):
                artifact = self._cache.find(result["needs_artifact"])
                whole = self._cache.whole(artifact)
                result = (
                    self._bring(arguments, artifact) if artifact and whole else self._build(arguments, artifacts=[])
                )
            elif not result.get("failed") and not self._in_cache(result):
                result = {**super()._perform(arguments, artifacts=[]), **_made(result)}
            if not result.get("failed"):
                self._keep(result)
                self._cache.remember(key, result["build_id"])
        return result

    def _in_cache(self, result: Mapping[str, Any]) -> bool:
        """Whether the artifact of a build is in the cache, or about to be."""
        return bool(result.get("artifact")) or self._cache.whole(self._cache.find(result["build_id"]))

    def _keep(self, result: dict[str, Any]) -> None:
        """Move the artifact that the module packed into the cache."""
        packed = result.pop("artifact", None)
        if not packed:
            return
        self._show(f"fetches the artifact of {result['build_id']} ({packed['size'] >> 20} MiB)")
        try:
            with self._cache.incoming(result["build_id"], packed["sha256"], packed["size"]) as path:
                self._again(lambda: self._connection.fetch_file(packed["path"], path))
        except (ValueError, OSError) as exc:
            raise AnsibleActionFail(f"The artifact cannot be kept in {self._cache.folder}: {exc}") from exc
        self._low_level_execute_command(f"rm -f {shlex.quote(packed['path'])}")

    def _take(self, arguments: dict[str, Any], key: str, builder: str) -> dict[str, Any]:
        """Have the build that the builder made for the same request."""
        build_id = self._cache.answer(key)
        artifact = self._cache.find(build_id) if build_id else None
        if artifact:
            return self._bring(arguments, artifact)
        if self._task.check_mode:
            said = f"The build comes from {builder}, which has not built it yet."
            return {"changed": True, "build_id": None, "compiled": False, "received": True, "warnings": [said]}
        raise AnsibleActionFail(
            f"This host gets its build from {builder}, and the controller's cache ({self._cache.folder}) has none that was "
            f"made for this request. Run this with {builder} in the play (--limit {builder},...), or let this host "
            "build for itself: llama_build_ship: false."
        )

    def _bring(self, arguments: Mapping[str, Any], artifact: Artifact) -> dict[str, Any]:
        """Have the build of an artifact; its file is sent only to a host that lacks the build."""
        source = {"type": "artifact", "build": artifact.build_id, "checksum": artifact.sha256}
        own = {name: arguments[name] for name in _OWN if name in arguments}
        result = self._execute_module(module_args={**own, "source": source}, task_vars=self._vars)
        if not (result.get("failed") and result.get("needs_artifact")):
            return result
        if not self._cache.whole(artifact):
            raise AnsibleActionFail(
                f"The artifact of {artifact.build_id} was damaged in the controller's cache, and is removed. Run this again "
                "with the host in the play that built it: it packs it again."
            )
        self._show(f"brings the build {artifact.build_id} ({artifact.size >> 20} MiB)")
        folder = self._make_tmp_path()
        path = self._connection._shell.join_path(folder, "artifact.tar.gz")
        self._again(lambda: self._transfer_file(artifact.path, path))
        self._fixup_perms2((folder, path), execute=False)
        return self._execute_module(module_args={**own, "source": {**source, "path": path}}, task_vars=self._vars)

    def _again(self, move: Callable[[], Any]) -> None:
        """Move a file, once more from the start when the connection breaks."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                move()
                return
            except AnsibleError as exc:
                if not left:
                    raise
                self._show(f"the file did not get through, tries again: {exc}")
                with contextlib.suppress(AnsibleConnectionFailure):
                    self._connection.reset()


def _made(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a run did, to be said although a second one followed that only packed."""
    return {name: result[name] for name in ("changed", "compiled", "compile_seconds", "removed", "diff")}
