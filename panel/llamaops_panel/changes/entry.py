# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance as it stands in the inventory, and a change of one that somebody proposes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import LlamaOpsError

from . import hiding

VARIABLE = "llama_instances__panel"
PANEL, INVENTORY = "panel", "inventory"


@dataclass(frozen=True)
class Entry:
    """One instance of a host. `file` and `line` say where it stands; empty and 0 where a plugin made it.

    `managed_by` is `panel` for the panel's own file, else `inventory`.
    """

    name: str
    fields: Mapping[str, Any]
    variable: str
    file: str = ""
    line: int = 0
    managed_by: str = INVENTORY
    digest: str = ""

    @property
    def revision(self) -> str:
        """Changes with what the entry says, its secrets too."""
        return self.digest or revision(self.fields)

    def shown(self) -> Entry:
        """Without its secrets."""
        return replace(self, fields=hiding.shown(self.fields), digest=self.revision)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        found = {key: getattr(self, key) for key in ("name", "variable", "file", "line", "managed_by", "revision")}
        return {**found, "fields": dict(self.fields)}


@dataclass(frozen=True)
class Proposal:
    """A change of one instance that is not written yet; `fields` None deletes it.

    `diff` is a unified diff of `file`. `writable` is true for the panel's own file; what stands in a file of the
    operator is for a person to apply. `conflicts` are the reasons why hosts would refuse it; with one it cannot be
    written. `preview` goes into what a job is given that only checks.
    """

    host: str
    name: str
    fields: Mapping[str, Any] | None
    file: str
    diff: str
    base: str
    writable: bool = True
    conflicts: tuple[str, ...] = ()
    preview: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        found = {key: getattr(self, key) for key in ("host", "name", "file", "diff", "base", "writable")}
        fields = None if self.fields is None else hiding.shown(self.fields)
        return {**found, "fields": fields, "conflicts": list(self.conflicts), "preview": dict(self.preview)}


class EditedMeanwhile(LlamaOpsError):
    """Somebody else changed the same instance since it was read; `details` has `changed`, `by` and `revision`."""


def revision(fields: Mapping[str, Any] | None) -> str:
    """A short digest of what an entry says; empty when there is none."""
    if fields is None:
        return ""
    return hashlib.sha256(json.dumps(fields, sort_keys=True, default=str).encode()).hexdigest()[:16]
