# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Router mode: one llama-server that starts a child for every model of its presets file when somebody asks for it.

The presets file (common/preset.cpp) has a section a model, whose keys are long flags. A router that reads it again
unloads the models whose section changed and touches no other, so an edit restarts nothing that did not change.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..build.builds import Build
from ..build.capabilities import Capabilities
from ..errors import InvalidInput, NotProven
from . import cmdline, planned, probe, ranking
from .cmdline import Command
from .definition import Instance
from .placement import Place
from .presets import MOST, numbered
from .record import Record
from .served import Served

HEAD = "; Written by llamaops.llama_cpp: change the inventory, not this file.\nversion = 1\n"
KEY_VARIABLE = (
    "LLAMA_ARG_API_KEY_FILE"  # children inherit the environment; a key given by argument would not reach them
)
# a router serves what it finds in the cache of downloads too, and does not start where it knows no folder for one
CACHE = {"LLAMA_CACHE": "/nonexistent"}


def compose(
    instance: Instance, build: Build, path: str, key_file: str | None, seen: Mapping[str, str] = MappingProxyType({})
) -> Command:
    """The command of a router on a build. What belongs to one model stands in the presets file alone, for the command
    line of a router beats it.

    :param path: of the presets file. :param key_file: as the server will see it.
    :param seen: variables that choose the devices of all models, see `presets.visible`.
    """
    wanted = {**cmdline.listening(instance, None), "models-preset": path, "offline": True}
    env = {**CACHE, **seen, **({KEY_VARIABLE: key_file} if key_file else {})}
    return cmdline.assemble(instance, build, wanted, env)


def presets(instance: Instance, build: Build, files: Sequence[Served], plans: Mapping[str, Record]) -> str:
    """The text of the presets file.

    :param files: what its models serve, in their order. :param plans: where they lie, by name.
    :raises InvalidInput: a model asks for what the build lacks, or what a presets file cannot hold.
    """
    known = numbered(plans)
    return HEAD + "".join(
        _section(item, build, served, known.get(item.name)) for item, served in zip(instance.models, files)
    )


def most(instance: Instance, build: Build) -> int:
    """How many models a router is to have loaded at a time; 0 for any number."""
    known = Capabilities(build.capabilities())
    for key, value in instance.options.items():
        option = known.find(key)
        if option and option[0].name == "--models-max" and isinstance(value, int):
            return max(value, 0)
    return MOST


def reload(url: str, instance: Instance, key: str | None, timeout: float) -> dict[str, Any]:
    """Have a running router take over its presets file, and prove what has to be loaded.

    Models that ran and are unchanged go on; those that ran and changed are loaded again.

    :raises NotProven: a model is not listed, or does not answer.
    """
    try:
        running = {name for name, item in probe.models(url, key).items() if item["state"] in ("loaded", "loading")}
        found = probe.models(url, key, timeout, reload=True)
        lost = sorted({item.name for item in instance.models} ^ set(found))
        if lost:
            raise NotProven(f"The router and its presets file disagree about {', '.join(lost)}.")
        return _load(url, [item for item in instance.models if item.load or item.name in running], key, timeout)
    except probe.ProbeError as exc:
        raise NotProven(f"The router did not take over its presets file: {exc}.") from exc


def prove(url: str, instance: Instance, key: str | None, timeout: float) -> dict[str, Any]:
    """Prove a router that was started: what it loads by itself, or else its first model.

    :raises probe.ProbeError: a model does not load, or does not answer.
    """
    return _load(url, [item for item in instance.models if item.load] or [instance.models[0]], key, timeout)


def _load(url: str, wanted: Sequence[Instance], key: str | None, timeout: float) -> dict[str, Any]:
    """Load models and wait for them; a real answer of each that is loaded in the end."""
    deadline = time.monotonic() + timeout
    found = probe.models(url, key)
    for item in wanted:
        if found.get(item.name, {}).get("state") in ("unloaded", "failed"):
            status, answer = probe.request(url, "/models/load", {"model": item.name}, key, timeout)
            if status != 200 and "already" not in str(answer):
                raise probe.ProbeError(f"{url}: the model {item.name} is not loaded: {answer}")
    while any(found[item.name]["state"] not in ("loaded", "failed", "sleeping") for item in wanted):
        if time.monotonic() > deadline:
            raise probe.ProbeError(f"{url}: models were not loaded in {timeout:.0f} seconds")
        time.sleep(0.2)
        found = probe.models(url, key)
    failed = [item.name for item in wanted if found[item.name]["state"] == "failed"]
    if failed:
        raise probe.ProbeError(f"{url}: {', '.join(failed)} failed to load")
    proof = probe.prove("router", url, key, timeout)
    for item in wanted:
        if item.kind == "rerank":
            proof["models"][item.name] = ranking.prove(url, key, timeout, item.name, item.proof == "ranks")
    return proof


def _section(item: Instance, build: Build, files: Served, record: Record | None) -> str:
    known = Capabilities(build.capabilities())
    final = planned.resolved(item, build, record) if record else item
    place = Place(planned.place(record).devices) if record else Place()
    lines = [f"[{item.name}]"]
    lines += [f"; {key}={value}" for key, value in (record.facts() if record else {}).items()]
    words = cmdline.model_arguments(final, build, files, place)
    while words:
        found = known.find(words[0])
        if found is None:
            raise InvalidInput(f"{words[0]} is no flag.")
        option, sets = found
        values, words = words[1 : 1 + option.takes], words[1 + option.takes :]
        key = (option.name if sets else option.negative[-1]).lstrip("-")
        line = f"{key} = {values[0] if values else 'true'}"
        if len(values) > 1 or any(other.startswith(f"{key} =") for other in lines) or set("".join(values)) & set(";#"):
            raise InvalidInput(
                f"The model {item.name!r}: a presets file cannot hold --{key} {' '.join(values)}.",
                "It takes one value a flag, without ';' and '#'.",
            )
        lines.append(line)
    lines += [f"tags = content-{files.content[:16]}"]  # another file under the same path is another section
    lines += ["load-on-startup = true"] if item.load else []
    return "\n" + "\n".join(lines) + "\n"
