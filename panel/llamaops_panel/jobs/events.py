# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-runner tells of a run, as the events of a job, and the sentence about its end. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from . import texts
from .job import CANCELLED, FAILED, SUCCEEDED

# kinds: play, task, ok, changed, failed, unreachable, skipped, progress, stdout, end
_RESULTS = {
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
}
_COUNTERS = {"ok": "ok", "changed": "changed", "failures": "failures", "dark": "unreachable"}
_COUNTERS.update({"skipped": "skipped", "rescued": "rescued", "ignored": "ignored"})
_PROGRESS = re.compile(r"\[([^\]\s]{1,253})\] (.+)")
_DATA = 64 << 10  # bytes of what a module returned
# what pages show of the results of modules of the collection
_TOLD = (
    *("preflight", "table", "plan", "rows", "removed", "freed", "orphans", "files", "instances", "workers", "active"),
    *("previous", "build_id", "compile_seconds", "speed", "models", "backend", "stopped", "reason"),
)
Event = dict[str, Any]


class Account:
    """Keeps the books of one run: turns events of ansible-runner into ours, and knows where each host stands."""

    def __init__(self, hosts: Sequence[str], check: bool) -> None:
        self.hosts, self.check = list(hosts), check
        self.recap: dict[str, dict[str, int]] = {}
        self.running: dict[str, str] = {}  # host -> task
        self.failed: dict[str, tuple[str, str]] = {}  # host -> task, why
        self._seen: dict[str, dict[str, int]] = {}
        self._task = ""

    def take(self, given: Mapping[str, Any]) -> list[Event]:
        """The events that one event of ansible-runner becomes; without counter and time."""
        kind, data = str(given.get("event", "")), given.get("event_data")
        data = data if isinstance(data, Mapping) else {}
        if kind in _RESULTS:
            return [self._result(_RESULTS[kind], data)]
        if kind == "runner_on_start":
            self.running[str(data.get("host", ""))] = str(data.get("task", ""))
        elif kind == "playbook_on_play_start":
            return [_event("play", task=data.get("name") or data.get("play"))]
        elif kind in ("playbook_on_task_start", "playbook_on_handler_task_start"):
            self._task = str(data.get("name") or data.get("task") or "")
            return [_event("task", task=self._task)]
        elif kind == "playbook_on_stats":
            self.recap = _recap(data)
        elif kind in ("verbose", "warning", "deprecated", "system_warning", "error", "playbook_on_no_hosts_matched"):
            return self._lines(given.get("stdout"))
        return []

    def _result(self, kind: str, data: Mapping[str, Any]) -> Event:
        host, task, res = str(data.get("host", "")), str(data.get("task", "")), data.get("res")
        res = res if isinstance(res, Mapping) else {}
        self.running.pop(host, None)
        if kind == "failed" and data.get("ignore_errors"):
            kind = "ok"
        if kind == "ok" and res.get("changed"):
            kind = "changed"
        message = _message(res)
        if kind in ("failed", "unreachable"):
            self.failed[host] = (task, message)
        seen = self._seen.setdefault(host, {})
        seen[kind] = seen.get(kind, 0) + 1
        found = _event(kind, host=host, task=task, text=message)
        if kind != "skipped":
            found.update(diff=texts.diff(_differences(res)), data=_told(data, res))
        return {key: value for key, value in found.items() if value not in ("", None, {})}

    def _lines(self, stdout: Any) -> list[Event]:
        found = []
        for line in texts.plain(stdout or "").splitlines():
            progress = _PROGRESS.fullmatch(line.strip())
            if progress and progress.group(1) in self.hosts:
                host, text = progress.groups()
                found.append(_event("progress", host=host, task=self.running.get(host, self._task), text=text))
            elif line.strip():
                found.append(_event("stdout", text=line))
        return found

    def end(self, rc: int | None, cancelled: str = "") -> Event:
        """The last event; `cancelled` says by whom. It holds all that is known of the end."""
        recap = self.recap or {host: _counted(seen) for host, seen in self._seen.items() if host}
        state = CANCELLED if cancelled else SUCCEEDED if rc == 0 else FAILED
        text = self._cancelled(cancelled) if cancelled else self._ended(rc, recap)
        return {**_event("end", text=text), "state": state, "rc": rc, "recap": recap}

    def _ended(self, rc: int | None, recap: Mapping[str, Mapping[str, int]]) -> str:
        verb = "would change" if self.check else "changed"
        if rc == 0:
            changed = [host for host, numbers in recap.items() if numbers.get("changed")]
            return f"{verb.capitalize()} {_list(changed)}." if changed else "Nothing to change."
        whys = [f"{host}: {_first(why) or 'failed'} ({task})" for host, (task, why) in self.failed.items()]
        said = "; ".join(whys[:3]) + (f"; and {len(whys) - 3} more" if len(whys) > 3 else "")
        said = said or f"ansible-playbook ended with {rc} before any host was reached; see the output."
        return f"{said} {self._where()}".strip()

    def _cancelled(self, who: str) -> str:
        text = f"Cancelled by {who}."
        if self.running:
            went = "; ".join(f"{task} on {host}" for host, task in sorted(self.running.items()))
            text += f" At work was: {went}; a step that a host has begun may go on there to its end."
        return f"{text} {self._where()}".strip()

    def _where(self) -> str:
        """Which hosts have the change and which do not, where they differ."""
        if self.check:
            return ""
        done = [
            h for h in self.hosts if self._seen.get(h, {}).get("changed") and h not in {*self.failed, *self.running}
        ]
        half = [h for h in self.hosts if self._seen.get(h, {}).get("changed") and h in {*self.failed, *self.running}]
        untouched = [h for h in self.hosts if not self._seen.get(h, {}).get("changed")]
        parts = [("Changed", done), ("Changed in part", half), ("As before", untouched)]
        return " ".join(f"{word}: {_list(hosts)}." for word, hosts in parts if hosts)


def _event(kind: str, host: str = "", task: Any = "", text: str = "") -> Event:
    found = {"kind": kind, "host": host, "task": texts.plain(task or "", 500), "text": texts.plain(text)}
    return {key: value for key, value in found.items() if value or key == "kind"}


def _message(res: Mapping[str, Any]) -> str:
    """What a person wants to read of a result."""
    for key in ("msg", "stderr", "module_stderr", "stdout"):
        value = res.get(key)
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return "\n".join(value)
        if isinstance(value, (dict, list)) and value:
            return json.dumps(value, indent=2, default=str)
    return ""


def _differences(res: Mapping[str, Any]) -> list[Any]:
    """The diffs of a result, those of the items of a loop included."""
    results = res.get("results")
    items = [item for item in results if isinstance(item, Mapping)] if isinstance(results, list) else []
    found: list[Any] = []
    for part in (res.get("diff"), *(item.get("diff") for item in items)):
        found += part if isinstance(part, list) else [part] if part else []
    return found


def _told(data: Mapping[str, Any], res: Mapping[str, Any]) -> dict[str, Any]:
    if not str(data.get("resolved_action") or data.get("task_action") or "").startswith("llamaops."):
        return {}
    found = {key: res[key] for key in _TOLD if key in res}
    return found if found and len(json.dumps(found, default=str)) <= _DATA else {}


def _recap(data: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for key, name in _COUNTERS.items():
        numbers = data.get(key)
        for host, number in numbers.items() if isinstance(numbers, Mapping) else ():
            found.setdefault(str(host), {})[name] = int(number)
    return found


def _counted(seen: Mapping[str, int]) -> dict[str, int]:
    """The numbers of a run that was ended before it could count itself."""
    names = {"failed": "failures"}
    found = {names.get(kind, kind): number for kind, number in seen.items()}
    return {**found, "ok": found.get("ok", 0) + found.get("changed", 0)}


def _list(hosts: Sequence[str]) -> str:
    return ", ".join(hosts) if len(hosts) <= 6 else f"{', '.join(hosts[:5])} and {len(hosts) - 5} more"


def _first(text: str) -> str:
    return texts.plain(text.strip().partition("\n")[0], 300)
