# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Router mode: one llama-server that starts a child for every model of its presets file when somebody asks for it.

The presets file (common/preset.cpp) has a section a model, whose keys are long flags. A router that reads it again
unloads the models whose section changed and touches no other, so an edit restarts nothing that did not change.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..build.builds import Build
from ..build.capabilities import Capabilities
from ..errors import InvalidInput, NotProven
from ..tree import Tree
from . import cmdline, probe, ranking, served
from .cmdline import Command
from .definition import Instance
from .placement import Place
from .served import Served

HEAD = "; Written by llamaops.llama_cpp: change the inventory, not this file.\nversion = 1\n"
KEY_VARIABLE = (
    "LLAMA_ARG_API_KEY_FILE"  # children inherit the environment; a key given by argument would not reach them
)
# a router serves what it finds in the cache of downloads too, and does not start where it knows no folder for one
CACHE = {"LLAMA_CACHE": "/nonexistent"}
Sections = dict[str, str]


def presets_path(tree: Tree, name: str) -> str:
    """The presets file of a router."""
    return os.path.join(tree.instances, name, "models.ini")


def compose(instance: Instance, build: Build, path: str, key_file: str | None) -> Command:
    """The command of a router on a build. What belongs to one model stands in the presets file alone, for the command
    line of a router beats it.

    :param path: of the presets file. :param key_file: as the server will see it.
    """
    wanted = {**cmdline.listening(instance, None), "models-preset": path, "offline": True}
    env = {**CACHE, **({KEY_VARIABLE: key_file} if key_file else {})}
    return cmdline.assemble(instance, build, wanted, env)


def presets(tree: Tree, instance: Instance, build: Build, places: Mapping[str, Place]) -> tuple[str, list[Served]]:
    """The text of the presets file, and the files its models serve.

    :param places: where plans put models, by name.
    :raises Prerequisite, InvalidInput, Untrusted: a model is not there, or asks for what the build lacks.
    """
    found = [served.find(tree, item) for item in instance.models]
    parts = [
        _section(item, build, files, places.get(item.name, Place())) for item, files in zip(instance.models, found)
    ]
    return HEAD + "".join(parts), found


def sections(text: str) -> Sections:
    """The sections of a presets file of ours by name."""
    parts = ("\n" + text).split("\n[")[1:]
    return {name: body for name, _bracket, body in (part.partition("]") for part in parts)}


def differences(before: str, after: str) -> dict[str, list[str]]:
    """The models that come, go and change between two presets files."""
    old, new = sections(before), sections(after)
    return {
        "added": sorted(set(new) - set(old)),
        "changed": sorted(name for name in new if name in old and old[name].strip() != new[name].strip()),
        "removed": sorted(set(old) - set(new)),
    }


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


def _section(item: Instance, build: Build, files: Served, place: Place) -> str:
    known = Capabilities(build.capabilities())
    lines = [f"[{item.name}]"]
    words = cmdline.model_arguments(item, build, files, place)
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
