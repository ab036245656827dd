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
from .definition import DEFAULT_CTX_SIZE, Instance

# canonical flag -> the field of an instance that sets it
FIELDS = {
    "--ctx-size": "ctx_size",
    "--parallel": "parallel",
    "--cache-type-k": "cache_type_k",
    "--cache-type-v": "cache_type_v",
    "--embedding": "kind",
    "--alias": "name",
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
    instance: Instance, build: Build, model_path: str, trained_ctx: int | None, key_file: str | None
) -> Command:
    """The command of an instance on a build.

    :param model_path: absolute path of the (first) GGUF file.
    :param trained_ctx: context length of the model in tokens, from its header.
    :param key_file: path of the API key file as the server will see it.
    :raises InvalidInput: an option or a field is not known to this build.
    """
    document = build.capabilities()
    argv = [build.tool("llama-server"), "--model", model_path, "--alias", instance.name]
    argv += ["--host", instance.host, "--port", str(instance.port)]
    argv += ["--api-key-file", key_file] if key_file else []
    argv += ["--device", "none"]
    argv += ["--ctx-size", str(_ctx_size(instance, trained_ctx)), "--parallel", str(instance.parallel)]
    argv += ["--cache-type-k", instance.cache_type_k] if instance.cache_type_k else []
    argv += ["--cache-type-v", instance.cache_type_v] if instance.cache_type_v else []
    argv += ["--embedding"] if instance.kind == "embedding" else []
    known = Capabilities(document)
    _require(argv, known, build)
    chosen = _options(instance, document)
    taken = {_name(known, word) for word in chosen if word.startswith("--")}
    for flag in ALWAYS:
        if known.find(flag[0]) and _name(known, flag[0]) not in taken:
            argv += flag
    return Command({**ENVIRONMENT, **instance.env}, tuple(argv + chosen))


def _options(instance: Instance, document: Mapping[str, Any]) -> list[str]:
    try:
        return options.resolve(document, instance.options, instance.allow_unsafe, FIELDS)
    except InvalidInput as exc:
        raise InvalidInput(f"Instance {instance.name!r}: {exc.problem}", exc.remedy) from exc


def _ctx_size(instance: Instance, trained: int | None) -> int:
    if instance.ctx_size:
        return instance.ctx_size
    return min(DEFAULT_CTX_SIZE, trained) if trained else DEFAULT_CTX_SIZE


def _name(known: Capabilities, word: str) -> str:
    """The canonical name of a flag, given or switched off in any spelling."""
    found = known.find(word)
    return found[0].name if found else word


def _require(argv: list[str], known: Capabilities, build: Build) -> None:
    for word in argv:
        if word.startswith("--") and not known.find(word):
            raise InvalidInput(
                f"The build {build.id} has no flag {word}, which every instance here needs.",
                "Build a newer llama.cpp.",
            )
