# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The models a host needs: those its inventory lists, and those its instances name by a reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import InvalidInput
from ..names import check_keys, check_name
from . import modelref
from .modelref import HUB, URL


def model_sets(
    models: Mapping[str, Any], instances: Iterable[Mapping[str, Any]], defaults: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The list that `gguf_model` takes, by name.

    :param models: model sets by name, each a source or a dictionary with one.
    :param instances: dictionaries of instances by name. A model that is no name of `models` and no path is a
        reference, and its set is called `modelref.set_name` of it.
    :param defaults: what an instance has that does not say otherwise.
    :raises InvalidInput: an entry is wrong, or one set is wanted from two sources or in two revisions.
    """
    found = {name: _listed(name, entry) for name, entry in models.items()}
    for variable in instances:
        for name, entry in variable.items():
            wanted = _named(name, entry, defaults, models)
            if wanted and found.setdefault(wanted["name"], wanted) != wanted:
                other = _shown(found[wanted["name"]])
                raise InvalidInput(
                    f"The set {wanted['name']!r} is wanted as {other} and, by instance {name!r}, as {_shown(wanted)}.",
                    "Give one of them a name of its own in llama_models.",
                )
    modelref.read_all(found.values())
    return [found[name] for name in sorted(found)]


def common(lists: Iterable[Iterable[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """What several hosts want together, by name: without local files, built-in models and what is to be removed.

    :param lists: lists that `model_sets` returned.
    :raises InvalidInput: hosts give one name to two models.
    """
    found: dict[str, dict[str, Any]] = {}
    for entry in (dict(entry) for each in lists for entry in each):
        if entry.get("state") == "absent" or modelref.parse(entry.get("source")).kind not in (HUB, URL):
            continue
        if found.setdefault(entry["name"], entry) != entry:
            raise InvalidInput(
                f"Hosts want the set {entry['name']!r} as {_shown(found[entry['name']])} and as {_shown(entry)}.",
                "Give one of them another name, for one host fetches the models of all.",
            )
    return [found[name] for name in sorted(found)]


def _listed(name: object, entry: object) -> dict[str, Any]:
    check_name("model", name)
    if isinstance(entry, str):
        return {"name": name, "source": entry}
    if not isinstance(entry, Mapping):
        raise InvalidInput(f"llama_models: {name} must be a source or a dictionary with one, not {entry!r}.")
    check_keys(f"llama_models: {name}", entry, [field for field in modelref.FIELDS if field != "name"])
    return {"name": name, **{key: value for key, value in entry.items() if value is not None}}


def _named(name: str, entry: object, defaults: Mapping[str, Any], models: Mapping[str, Any]) -> dict[str, Any] | None:
    """The set that an instance names by a reference, if it does."""
    if not isinstance(entry, Mapping) or entry.get("state", defaults.get("state")) == "absent":
        return None
    model = entry.get("model", defaults.get("model"))
    given = dict(model) if isinstance(model, Mapping) else {"ref": model}
    check_keys(f"The model of the instance {name!r}", given, ("ref", "revision"))
    reference = given.get("ref")
    if reference is None or reference in models or str(reference).startswith("/"):
        return None
    wanted = {"name": modelref.set_name(reference), "source": reference}
    if given.get("revision") is not None:
        wanted["revision"] = given["revision"]
    return wanted


def _shown(entry: Mapping[str, Any]) -> str:
    return f"{entry.get('source')} at {entry.get('revision', 'its main branch')}"
