# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the dictionaries of an inventory to the lists that modules take."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..errors import InvalidInput
from ..model import modelref
from ..names import check_keys, check_name, did_you_mean
from .definition import FIELDS
from .spec import OF_SET, OWN

MERGED = ("options", "env", "plan")


def merge_instances(
    sources: Mapping[str, Mapping[str, Any]],
    defaults: Mapping[str, Any],
    models: Mapping[str, Any],
    restart: Collection[str] = (),
    elsewhere: Collection[str] = (),
    only: Collection[str] = (),
    state: str = "",
) -> list[dict[str, Any]]:
    """One list of instances out of every dictionary a host sees, with the defaults filled in.

    :param sources: variable name -> dictionary of instances by name.
    :param defaults: values for keys an instance does not give; `options`, `env` and `plan` are merged key by key.
    :param models: the known model sets; a model that is none of them and no path is taken as a reference.
    :param restart: names of instances that shall restart; those that shall not run are left out.
    :param elsewhere: names of instances of other hosts, which may stand in `restart` and `only` too.
    :param only: names of instances; the others are left out. Empty: all.
    :param state: what these shall be, whatever the inventory says; empty: what it says.
    :raises InvalidInput: two variables disagree about an instance, or a key or a name is unknown.
    """
    check_keys("llama_instances_defaults", defaults, FIELDS)
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for variable in sorted(sources):
        if not isinstance(sources[variable], Mapping):
            raise InvalidInput(f"{variable} must be a dictionary of instances by name.")
        for name, entry in sources[variable].items():
            _check(variable, name, entry)
            other, known = found.setdefault(name, (variable, entry))
            if known != entry:
                raise InvalidInput(
                    f"The instance {name!r} stands in {other} and in {variable} with different contents.",
                    "Give one of them another name.",
                )
    _check_names([*restart, *only], {*found, *elsewhere})
    if state and not only:
        raise InvalidInput(f"No instance is named that shall be {state}.", "Name them in llama_instances_only.")
    merged = [_complete(name, entry, defaults, models) for name, (_variable, entry) in sorted(found.items())]
    if only:
        merged = [{**item, **({"state": state} if state else {})} for item in merged if item["name"] in only]
    runs = [item for item in merged if item["name"] in restart and item.get("state", "started") == "started"]
    for item in runs:
        item["state"] = "restarted"
    return merged


def _check_names(names: Collection[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise InvalidInput(
                f"There is no instance {name!r}.",
                did_you_mean(str(name), known) or f"There are: {', '.join(sorted(known)) or 'none'}.",
            )


def _check(variable: str, name: object, entry: object) -> None:
    check_name("instance", name)
    if not isinstance(entry, Mapping):
        raise InvalidInput(f"{variable}: {name} must be a dictionary, such as {{model: ..., port: 8080}}.")
    check_keys(f"{variable}: {name}", entry, [field for field in FIELDS if field != "name"])


def _complete(
    name: str, entry: Mapping[str, Any], defaults: Mapping[str, Any], models: Mapping[str, Any]
) -> dict[str, Any]:
    instance = {**defaults, **entry, "name": name}
    for key in MERGED:
        if defaults.get(key) and entry.get(key):
            instance[key] = {**defaults[key], **entry[key]}
    if isinstance(instance.get("models"), Mapping):
        inner = {key: entry for key, entry in instance["models"].items() if isinstance(entry, Mapping)}
        named = {key: _named(entry, models) for key, entry in inner.items()}
        instance["models"] = {**instance["models"], **named}
    return _named(instance, models)


def _named(entry: Mapping[str, Any], models: Mapping[str, Any]) -> dict[str, Any]:
    """The entry with the names of model sets in place of references: of its model, its draft and its adapters."""
    found = dict(entry)
    if "model" in found:
        found["model"] = model_name(found["model"], models)
    if isinstance(found.get("spec"), Mapping) and found["spec"].get("draft", OWN) not in (OWN, OF_SET):
        found["spec"] = {**found["spec"], "draft": model_name(found["spec"]["draft"], models)}
    if isinstance(found.get("lora"), list):
        found["lora"] = [
            {**item, "file": model_name(item.get("file"), models)}
            if isinstance(item, Mapping)
            else model_name(item, models)
            for item in found["lora"]
        ]
    return found


def model_name(model: Any, models: Mapping[str, Any]) -> str:
    """The model set (or absolute path) that an instance means: the name of a set, a path, or a reference."""
    reference = model.get("ref") if isinstance(model, Mapping) else model
    if not isinstance(reference, str):
        raise InvalidInput(f"{model!r} names no model.", "Use a name of llama_models, a path, or a reference.")
    if reference in models or reference.startswith("/"):
        return reference
    return modelref.set_name(reference)
