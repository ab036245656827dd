# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of the form of an instance: where each stands, its flag, and how text becomes a value. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build.capabilities import Capabilities
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import (
    cmdline,
    definition,
    options,
    placement,
    values,
)

TEXT, WHOLE, CHOICE, SWITCH, WORDS, SHARES = "text", "whole", "choice", "switch", "words", "shares"
_SWITCHES = {"yes": True, "no": False}


@dataclass(frozen=True)
class Field:
    """One field; `name` is its key in the inventory, with a dot where it lies one level deeper."""

    name: str
    label: str
    kind: str = TEXT
    values: tuple[str, ...] = ()
    flag: str = ""
    hint: str = ""


GROUPS: tuple[tuple[str, tuple[Field, ...]], ...] = (
    (
        "What it serves",
        (
            Field("model", "Model", hint="a set, owner/repo:QUANT, or a path"),
            Field("kind", "Kind", CHOICE, definition.KINDS),
            Field("state", "State", CHOICE, ("started", "stopped")),
            Field("mmproj", "Projector", hint="a path; none for none"),
            Field("alias", "Names for clients", WORDS, flag="--alias"),
            Field("build", "Build", CHOICE, ("active",)),
        ),
    ),
    (
        "Network",
        (
            Field("port", "Port", WHOLE),
            Field("bind", "Listens on", hint="loopback, private, public, an address"),
            Field("keys", "Keys", WORDS, hint="names of llama_keys, no secrets"),
            Field("slots", "Slots endpoint", SWITCH, flag="--slots"),
            Field("metrics", "Metrics endpoint", SWITCH, flag="--metrics"),
        ),
    ),
    (
        "Memory",
        (
            Field("ctx_size", "Context (tokens)", WHOLE, flag="--ctx-size", hint="a number or auto"),
            Field("parallel", "Parallel requests", WHOLE, flag="--parallel", hint="a number or auto"),
            Field("cache_type_k", "Cache type K", CHOICE, (*definition.CACHE_TYPES, "auto"), "--cache-type-k"),
            Field("cache_type_v", "Cache type V", CHOICE, (*definition.CACHE_TYPES, "auto"), "--cache-type-v"),
            Field("gpu_layers", "Layers on GPUs", WHOLE, flag="--gpu-layers", hint="a number, all or auto"),
            Field("n_cpu_moe", "Expert layers on host", WHOLE, flag="--n-cpu-moe", hint="a number or auto"),
            Field("cpu_moe", "All experts on host", SWITCH, flag="--cpu-moe"),
            Field("split_mode", "Split over GPUs by", CHOICE, placement.SPLIT_MODES, "--split-mode"),
            Field("tensor_split", "Shares of GPUs", SHARES, flag="--tensor-split", hint="3,1 or auto"),
            Field("main_gpu", "Main GPU", WHOLE, flag="--main-gpu"),
            Field("plan.allow", "The plan may change", WORDS, placement.ALLOWED_RUNGS),
            Field("plan.ctx_floor", "Least context", WHOLE),
            Field("memory_max", "Memory limit", hint="such as 32GiB"),
        ),
    ),
    (
        "Answers",
        (
            Field("jinja", "Jinja templates", SWITCH, flag="--jinja"),
            Field("reasoning_format", "Reasoning format", flag="--reasoning-format"),
            Field("chat_template_file", "Chat template file", flag="--chat-template-file"),
            Field("spec.type", "Speculation", WORDS, flag="--spec-type", hint="draft-mtp, draft-simple …"),
            Field("spec.draft", "Draft model", flag="--spec-draft-model", hint="own, set, a set or a path"),
            Field("spec.n_max", "Draft at most", WHOLE, flag="--spec-draft-n-max"),
        ),
    ),
    (
        "Life",
        (
            Field("restart", "Restart when changed", CHOICE, definition.RESTARTS),
            Field("drain_timeout", "Drain (s)", WHOLE, hint="requests may end before a stop"),
            Field("start_timeout", "Start timeout (s)", WHOLE),
            Field("log_level", "Log level", CHOICE, definition.LOG_LEVELS),
        ),
    ),
)
FIELDS = {field.name: field for _title, fields in GROUPS for field in fields}


def value(field: Field, raw: Any) -> Any:
    """What the inventory says where a person gave `raw`; None where nothing was given."""
    if raw in (None, "", []):
        return None
    if field.kind == SWITCH:
        return _SWITCHES.get(str(raw))
    if field.kind == WHOLE:
        said = str(raw).strip()
        return int(said) if said.lstrip("-").isdigit() else said
    if field.kind == WORDS:
        return (
            list(raw)
            if isinstance(raw, (list, tuple))
            else [item.strip() for item in str(raw).split(",") if item.strip()]
        )
    if field.kind == SHARES:
        said = str(raw).strip()
        return said if said == "auto" else said.replace("/", ",")
    return str(raw).strip()


def raw(field: Field, found: Any) -> Any:
    """What a field shows of a value of the inventory."""
    if found is None:
        return [] if field.kind == WORDS and field.values else None
    if field.kind == SWITCH:
        return "yes" if found is True else "no" if found is False else None
    if field.kind == WORDS:
        items = [str(item) for item in (found if isinstance(found, (list, tuple)) else [found])]
        return items if field.values else ", ".join(items)
    if field.kind == SHARES and isinstance(found, (list, tuple)):
        return ",".join(f"{share:g}" if isinstance(share, (int, float)) else str(share) for share in found)
    return str(found)


def of(entry: Mapping[str, Any], name: str) -> Any:
    """A value of an entry, one level deeper where the name has a dot."""
    head, _dot, tail = name.partition(".")
    found = entry.get(head)
    return found.get(tail) if tail and isinstance(found, Mapping) else None if tail else found


def put(entry: dict[str, Any], name: str, found: Any) -> None:
    """Set a value of an entry, or take it out where it is None."""
    head, _dot, tail = name.partition(".")
    if not tail:
        entry.pop(head, None)
        if found is not None:
            entry[head] = found
        return
    inner = dict(entry.get(head) or {})
    inner.pop(tail, None)
    if found is not None:
        inner[tail] = found
    put(entry, head, inner or None)


def rest(entry: Mapping[str, Any]) -> str:
    """What of an entry no field stands for, as YAML."""
    left: dict[str, Any] = dict(entry)
    for name in ("name", "devices", "options", *FIELDS):
        if name in left or "." in name:
            put(left, name, None)
    return yaml.safe_dump(left, sort_keys=False, allow_unicode=True) if left else ""


def read_rest(said: str) -> dict[str, Any]:
    """The dictionary that such YAML means.

    :raises ValueError: it is none, or it has a key that a field stands for.
    """
    try:
        found = yaml.safe_load(said) if said.strip() else {}
    except yaml.YAMLError as exc:
        raise ValueError(f"This is no YAML: {' '.join(str(exc).split())}") from None
    if not isinstance(found, dict):
        raise ValueError("This is YAML, but no dictionary of keys.")
    twice = [key for key in found if key in FIELDS or key in ("name", "devices", "options")]
    if twice:
        raise ValueError(f"{', '.join(map(str, twice))}: use the field of the form.")
    return {str(key): item for key, item in found.items()}


def missing(field: Field, document: Mapping[str, Any], build: str) -> str:
    """Why a field cannot be used with a build; empty where it can, or where nothing is known of the build."""
    if not field.flag or not document:
        return ""
    found = Capabilities(document).find(field.flag)
    if found is None:
        return f"The build {build} has no {field.flag}: use a newer build."
    if found[0].removed is not None:
        return f"llama.cpp removed {field.flag}: {found[0].removed}."
    return ""


def flags(document: Mapping[str, Any]) -> dict[str, str]:
    """The flags that options may give -> a label, from the capability document of a build."""
    owned = {*options.OWNED, *options.FIXED, *options.REMOTE, *options.PROBES, *cmdline.FIELDS}
    found = {}
    for option in Capabilities(document).options if document else ():
        free = option.removed is None and not option.downloads and not owned & set(option.names)
        if free and option.name.startswith("--") and not option.name.startswith("--spec-"):
            danger = next((why for name, why in options.DANGEROUS.items() if name in option.names), "")
            found[option.name[2:].replace("-", "_")] = (
                f"{option.name}  {option.section}{f'  ({danger})' if danger else ''}"
            )
    return found


def option_values(document: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    """The values that an option has; empty for a switch, None where any text goes, KeyError where it is unknown."""
    found = Capabilities(document).find(key)
    if found is None:
        raise KeyError(key)
    option = found[0]
    return (
        ("true", "false") if not option.takes else tuple(option.values) if option.values and not option.number else None
    )


def option_value(said: str) -> Any:
    """The value of an option that a person typed: a switch, a number or text."""
    word = said.strip()
    if word in ("true", "false"):
        return word == "true"
    try:
        return int(word)
    except ValueError:
        return word


def secret(name: str) -> bool:
    """Whether a name looks like that of a secret, which no form takes."""
    return bool(values.SECRET_WORD.search(name))
