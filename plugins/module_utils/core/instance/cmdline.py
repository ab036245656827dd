# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of an instance: what an engineer would type to get the same server."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..build.builds import Build
from ..build.capabilities import Capabilities
from ..errors import InvalidInput
from . import options
from .definition import DEFAULT_CTX_SIZE, LOG_LEVELS, Instance
from .placement import Place
from .served import Served
from .values import AUTO, Number

# canonical flag -> the field of an instance that sets it; these are reasoned about, so options cannot set them
FIELDS = {
    "--alias": "alias",
    "--mmproj": "mmproj",
    "--lora": "lora",
    "--lora-scaled": "lora",
    "--gpu-layers": "gpu_layers",
    "--split-mode": "split_mode",
    "--tensor-split": "tensor_split",
    "--main-gpu": "main_gpu",
    "--cpu-moe": "cpu_moe",
    "--n-cpu-moe": "n_cpu_moe",
    "--ctx-size": "ctx_size",
    "--parallel": "parallel",
    "--cache-type-k": "cache_type_k",
    "--cache-type-v": "cache_type_v",
    "--embedding": "kind",
    "--rerank": "kind",
}
# those that options may set as well, but not both
EITHER = {
    "--jinja": "jinja",
    "--reasoning-format": "reasoning_format",
    "--chat-template-file": "chat_template_file",
    "--slots": "slots",
    "--metrics": "metrics",
}
# what every instance gets where its build knows it: readable logs, no web UI, no other site's scripts, no surprise;
# llama.cpp tells where its buffers lie at verbosity 4
ALWAYS = (("--fit", "off"), ("--log-jsonl",), ("--verbosity", "4"), ("--no-ui",), ("--cors-origins", "localhost"))
ENVIRONMENT = {"GGML_NO_BACKTRACE": "1", "XDG_CONFIG_HOME": "/nonexistent"}


@dataclass(frozen=True)
class Command:
    """A complete command: environment added to an empty one, and arguments."""

    env: Mapping[str, str]
    argv: tuple[str, ...]

    @property
    def line(self) -> str:
        """One line for a shell."""
        settings = [f"{key}={shlex.quote(value)}" for key, value in self.env.items()]
        return " ".join([*settings, shlex.join(self.argv)])


def compose(
    instance: Instance,
    build: Build,
    served: Served,
    key_file: str | None,
    place: Place = Place(),  # noqa: B008
) -> Command:
    """The command of an instance on a build.

    :param key_file: path of the API key file as the server will see it.
    :param place: where a plan puts it; nowhere: on the host. Fields that are still `auto` are left to our defaults.
    :raises InvalidInput: an option or a field is not known to this build.
    """
    return assemble(instance, build, {**listening(instance, key_file), **serving(instance, served, place)}, place.env)


def assemble(instance: Instance, build: Build, wanted: Mapping[str, Any], env: Mapping[str, str]) -> Command:
    """A command of what fields want (flag without dashes -> value), our defaults, and options."""
    known = Capabilities(build.capabilities())
    argv = [build.tool("llama-server"), *_rendered(instance, build, known, wanted)]
    chosen = _options(instance, build)
    taken = {_name(known, word) for word in chosen if word.startswith("--")}
    for flag in _always(instance):
        if known.find(flag[0]) and _name(known, flag[0]) not in taken:
            argv += flag
    return Command({**ENVIRONMENT, **env, **instance.env}, tuple(argv + chosen))


def model_arguments(instance: Instance, build: Build, served: Served, place: Place) -> list[str]:
    """What belongs to one model of a router."""
    wanted = {**serving(instance, served, place), "alias": ",".join(instance.alias) or None}
    return _rendered(instance, build, Capabilities(build.capabilities()), wanted) + _options(instance, build)


def listening(instance: Instance, key_file: str | None) -> dict[str, Any]:
    """Flag without dashes -> value, of what belongs to the server as a whole."""
    return {
        "host": instance.host,
        "port": instance.port or None,
        "api-key-file": key_file,
        "ssl-cert-file": instance.tls.cert if instance.tls else None,
        "ssl-key-file": instance.tls.key if instance.tls else None,
        "slots": instance.slots,
        "metrics": instance.metrics or None,  # off unless given; there is no flag for off
    }


def serving(instance: Instance, served: Served, place: Place) -> dict[str, Any]:
    """Flag without dashes -> value, of what belongs to one model."""
    plain = all(adapter.scale == 1.0 for adapter in served.lora)
    adapters = [item.file if plain else f"{item.file}:{item.scale:g}" for item in served.lora]
    split = instance.tensor_split
    return {
        "model": served.model.path,
        "alias": ",".join(instance.alias or (instance.name,)),
        "mmproj": served.mmproj,
        ("lora" if plain else "lora-scaled"): adapters or None,
        **(instance.spec.flags(served.draft) if instance.spec else {}),
        "rpc": [worker.address for worker in instance.rpc if worker.address] or None,
        "device": list(place.devices) or "none",
        "gpu-layers": _explicit(instance.gpu_layers),
        "split-mode": instance.split_mode,
        "tensor-split": [f"{share:g}" for share in split] if isinstance(split, tuple) else None,
        "main-gpu": instance.main_gpu,
        "cpu-moe": instance.cpu_moe or None,
        "n-cpu-moe": _explicit(instance.n_cpu_moe),
        "ctx-size": _explicit(instance.ctx_size) or default_ctx_size(served.model.context_length),
        "parallel": _explicit(instance.parallel) or 1,
        "cache-type-k": _explicit(instance.cache_type_k),
        "cache-type-v": _explicit(instance.cache_type_v),
        "embedding": True if instance.kind == "embedding" else None,
        "rerank": True if instance.kind == "rerank" else None,
        "jinja": instance.jinja,
        "reasoning-format": instance.reasoning_format,
        "chat-template-file": instance.chat_template_file,
    }


def default_ctx_size(trained: int | None) -> int:
    """The context in tokens where none is asked for; `trained` is the model's own."""
    return min(DEFAULT_CTX_SIZE, trained) if trained else DEFAULT_CTX_SIZE


def _explicit(value: Number | None) -> Number | None:
    return None if value == AUTO else value


def _rendered(instance: Instance, build: Build, known: Capabilities, wanted: Mapping[str, Any]) -> list[str]:
    try:
        return options.arguments(known, wanted, build.id)
    except InvalidInput as exc:
        raise InvalidInput(f"Instance {instance.name!r}: {exc.problem}", exc.remedy) from exc


def _options(instance: Instance, build: Build) -> list[str]:
    document = build.capabilities()
    fields = {**FIELDS, **{flag: field for flag, field in EITHER.items() if getattr(instance, field) is not None}}
    fields.update({item["name"]: "spec" for item in document["options"] if item["name"].startswith("--spec-")})
    try:
        return options.resolve(document, instance.options, instance.allow_unsafe, fields)
    except InvalidInput as exc:
        raise InvalidInput(f"Instance {instance.name!r}: {exc.problem}", exc.remedy) from exc


def _always(instance: Instance) -> list[tuple[str, ...]]:
    if not instance.log_level:
        return list(ALWAYS)
    level = ("--verbosity", str(LOG_LEVELS.index(instance.log_level) + 1))
    return [level if flag[0] == "--verbosity" else flag for flag in ALWAYS]


def _name(known: Capabilities, word: str) -> str:
    """The canonical name of a flag, given or switched off in any spelling."""
    found = known.find(word)
    return found[0].name if found else word
