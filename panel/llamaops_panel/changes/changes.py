# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel may change: its own file of each host. Changes of the operator's files it only proposes."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import naming

from ..jobs.fields import plain
from . import checks, git, hiding, hostvars, nodes, places, sources
from .entry import INVENTORY, PANEL, VARIABLE, EditedMeanwhile, Entry, Proposal, revision

__all__ = ["Changes", "EditedMeanwhile", "Entry", "Proposal"]
_REMEMBERED = 2000


class Known(Protocol):
    """What is known of a host: its groups and its variables."""

    @property
    def groups(self) -> Sequence[str]: ...

    @property
    def variables(self) -> Mapping[str, Any]: ...


class Changes:
    """Its methods read and write a few small files: call them in a thread.

    :param inventory: what `-i` names.
    :param hosts: the hosts of the inventory by name, as they are now.
    :param project: the folder that relative paths of the inventory count from.
    :param commit: whether each change becomes a commit of the repository that holds the file.
    """

    def __init__(
        self, inventory: Sequence[str], hosts: Callable[[], Mapping[str, Known]], *, project: Path, commit: bool = False
    ) -> None:
        self._inventory, self._hosts, self._project, self._commit = list(inventory), hosts, project, commit
        self._seen: OrderedDict[str, Mapping[str, Any]] = OrderedDict()  # what revisions said
        self._last: dict[tuple[str, str], tuple[str, float]] = {}  # who wrote an entry, and when

    def instances(self, host: str) -> dict[str, Entry]:
        """The instances of a host by name, those of the panel and those of the operator's files, without secrets.

        :raises InvalidInput: there is no such host, or the panel's file cannot be read.
        """
        return {name: entry.shown() for name, entry in self._held(host).items()}

    def _held(self, host: str) -> dict[str, Entry]:
        known = self._host(host)
        found = {entry.name: entry for entry in self._operators(host, known)}
        mine, file, text = self._own(host)
        lines = {name: nodes.line(key) for name, (key, _entry) in nodes.pairs(_table(text, str(file))).items()}
        for name, fields in mine.items():
            found[name] = Entry(name, fields, VARIABLE, str(file), lines.get(name, 0), PANEL)
        for entry in found.values():
            self._remember(entry.fields)
        return dict(sorted(found.items()))

    def propose(self, host: str, name: str, fields: Mapping[str, Any] | None, revision: str) -> Proposal:
        """What would be written; `revision` is that of the entry when it was read, empty for a new one.

        :raises EditedMeanwhile: the entry is not what it was.
        :raises InvalidInput: the name or a value is wrong, or there is no place for the file.
        """
        naming.check(name)
        known = self._host(host)
        entry = self._held(host).get(name)
        wanted = None if fields is None else {key: item for key, item in fields.items() if item is not None}
        self._check_revision(host, name, entry.fields if entry else None, revision)
        before = entry.fields if entry else {}
        wanted = None if wanted is None else hiding.restored(wanted, before)
        if wanted and (key := hiding.secret(wanted, before)):
            raise InvalidInput(
                f"Instance {name!r}: {key} is a secret, which would stand readable in the inventory and its history.",
                "Put it into a file of the host or into llama_keys of a vault, and name that.",
            )
        changed = {key: item for key, item in (wanted or {}).items() if key not in before or before[key] != item}
        plain(f"Instance {name!r}", changed)
        if entry is None and wanted is None:
            raise InvalidInput(f"There is no instance {name!r} of {host}.", "Read the list again.")
        if entry is not None and entry.managed_by == INVENTORY:
            return self._for_operator(host, known, entry, wanted)
        return self._for_panel(host, known, name, wanted, revision)

    def write(self, proposal: Proposal, by: str) -> None:
        """Write the panel's own file; what others changed of other instances meanwhile stays.

        :raises EditedMeanwhile: the entry is not what it was.
        :raises InvalidInput: it is for a file of the operator, or hosts would refuse it.
        :raises Prerequisite: the file cannot be written; nothing changed.
        :raises CommandFailed: it is written, and could not be committed.
        """
        if not proposal.writable:
            raise InvalidInput(f"{proposal.file} belongs to the operator.", "Apply the proposed change there by hand.")
        if proposal.conflicts:
            raise InvalidInput(proposal.conflicts[0], "Correct the entry.")
        folder = places.base(self._inventory, self._project)
        file = places.path(folder, proposal.host)
        with places.changing(file, folder) as own:
            mine = hostvars.parse(own.read(), str(file))
            self._check_revision(proposal.host, proposal.name, mine.get(proposal.name), proposal.base)
            own.write(hostvars.dump(_with(mine, proposal.name, proposal.fields)))
            self._last[(proposal.host, proposal.name)] = (by, time.time())
            if self._commit:
                verb = "Remove" if proposal.fields is None else "Change" if proposal.base else "Add"
                git.commit(file, f"{verb} the instance {proposal.name} of {proposal.host}", by)

    # ---- from here on: how it is done

    def _host(self, host: str) -> Known:
        found = self._hosts().get(host)
        if found is None:
            raise InvalidInput(
                f"{str(host)[:80]!r} is no host of the inventory.", "Read the inventory again, or mend it."
            )
        return found

    def _own(self, host: str) -> tuple[dict[str, dict[str, Any]], Path, str | None]:
        """What the panel's file says, where it is, and its text; nothing where there cannot be one."""
        try:
            folder = places.base(self._inventory, self._project)
            file = places.path(folder, host)
        except InvalidInput:
            return {}, Path(), None
        text = places.read(file, folder)
        return hostvars.parse(text, str(file)), file, text

    def _operators(self, host: str, known: Known) -> list[Entry]:
        """The entries of the operator: what the inventory says, with the place where it is written as far as known."""
        placed = {
            (one.variable, one.name): one for one in sources.find(self._inventory, self._project, host, known.groups)
        }
        found = []
        for variable, entries in sorted(known.variables.items()):
            if not sources.VARIABLE.fullmatch(variable) or variable == VARIABLE or not isinstance(entries, Mapping):
                continue
            for name, fields in entries.items():
                one = placed.get((variable, name))
                said = nodes.value(one.entry) if one else fields
                said = said if isinstance(said, Mapping) else {}
                at = (str(one.file), one.line) if one else ("", 0)
                found.append(Entry(str(name), dict(said), variable, *at))
        return found

    def _for_panel(self, host: str, known: Known, name: str, wanted: Mapping[str, Any] | None, base: str) -> Proposal:
        folder = places.base(self._inventory, self._project)
        file = places.path(folder, host)
        text = places.read(file, folder)
        after = _with(hostvars.parse(text, str(file)), name, wanted)
        diff = hostvars.diff(text or "", hostvars.dump(after), str(file.relative_to(folder)))
        reasons = self._conflicts(known, name, wanted, VARIABLE, after)
        return Proposal(host, name, wanted, str(file), diff, base, True, tuple(reasons), {VARIABLE: after})

    def _for_operator(self, host: str, known: Known, entry: Entry, wanted: Mapping[str, Any] | None) -> Proposal:
        found = [
            one
            for one in sources.find(self._inventory, self._project, host, known.groups)
            if (one.variable, one.name, str(one.file)) == (entry.variable, entry.name, entry.file)
        ]
        if not found:
            raise InvalidInput(
                f"Nobody knows in which file {entry.name} of {host} stands: {entry.variable} comes from a plugin, a "
                "script or an INI file.",
                "Change it there.",
            )
        one = found[-1]
        if wanted is None:
            text = nodes.remove(one.text, one.table, one.name)
        else:
            text = nodes.set_fields(one.text, one.entry, entry.fields, wanted)
        _prove(text, one, wanted)
        after = {**_entries(known, entry.variable), entry.name: wanted or {}}
        reasons = self._conflicts(known, entry.name, wanted, entry.variable, after)
        name = one.file.relative_to(self._project) if one.file.is_relative_to(self._project) else one.file
        diff = hostvars.diff(one.text, text, str(name).lstrip("/"))
        shown = hiding.without(diff)
        return Proposal(host, entry.name, wanted, str(one.file), shown, entry.revision, False, tuple(reasons))

    def _conflicts(
        self, known: Known, name: str, wanted: Mapping[str, Any] | None, variable: str, after: Mapping[str, Any]
    ) -> list[str]:
        if wanted is None:
            return []
        others = {key: item for key, item in known.variables.items() if sources.VARIABLE.fullmatch(key)}
        return checks.conflicts(name, {**others, variable: after}, known.variables, wanted)

    def _check_revision(self, host: str, name: str, now: Mapping[str, Any] | None, expected: str) -> None:
        current = revision(now)
        if current == expected:
            return
        base, by = self._seen.get(expected), self._last.get((host, name), ("somebody", 0.0))[0]
        base, now = (None if said is None else hiding.shown(said) for said in (base, now))
        changed = _differences(base, now)
        what = "deleted" if now is None else "made" if not expected else "changed"
        said = ", ".join(f"{key}: {old!r} is {new!r} now" for key, (old, new) in list(changed.items())[:8])
        raise EditedMeanwhile(
            f"{by} has {what} {name} of {host} meanwhile{f' ({said})' if said else ''}.",
            "Read it again, and make your change on top of that.",
            changed={key: list(pair) for key, pair in changed.items()},
            by=by,
            revision=current,
            fields=None if now is None else dict(now),
        )

    def _remember(self, fields: Mapping[str, Any]) -> None:
        self._seen[revision(fields)] = fields
        self._seen.move_to_end(revision(fields))
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)


def _with(mine: Mapping[str, dict[str, Any]], name: str, fields: Mapping[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {key: item for key, item in mine.items() if key != name}
    return found if fields is None else {**found, name: dict(fields)}


def _table(text: str | None, where: str) -> Any:
    """The dictionary of instances in the panel's file."""
    found = nodes.pairs(nodes.compose(text or "", where)).get(VARIABLE)
    return found[1] if found else None


def _entries(known: Known, variable: str) -> Mapping[str, Any]:
    found = known.variables.get(variable)
    return found if isinstance(found, Mapping) else {}


def _differences(base: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> dict[str, tuple[Any, Any]]:
    if base is None or now is None:
        return {}
    return {key: (base.get(key), now.get(key)) for key in sorted({*base, *now}) if base.get(key) != now.get(key)}


def _prove(text: str, one: sources.Found, wanted: Mapping[str, Any] | None) -> None:
    """Insist that the proposed text says what was asked for and nothing else than before."""
    before, after = nodes.value(nodes.compose(one.text, str(one.file))), None
    try:
        after = nodes.value(nodes.compose(text, str(one.file)))
    except InvalidInput:
        pass
    expected = _replaced(before, one.variable, one.name, nodes.value(one.entry), wanted)
    if after != expected:
        raise InvalidInput(
            f"{one.file} is written in a way that cannot be changed safely (line {one.line}).",
            "Change it there by hand.",
        )


def _replaced(found: Any, variable: str, name: str, was: Any, wanted: Mapping[str, Any] | None) -> Any:
    """The data with one entry replaced, wherever it stands."""
    if isinstance(found, list):
        return [_replaced(item, variable, name, was, wanted) for item in found]
    if not isinstance(found, dict):
        return found
    result = {key: _replaced(item, variable, name, was, wanted) for key, item in found.items()}
    table = found.get(variable)
    if isinstance(table, dict) and table.get(name) == was:
        rest = {key: item for key, item in table.items() if key != name}
        result[variable] = rest if wanted is None else {**rest, name: dict(wanted)}
    return result
