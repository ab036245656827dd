# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances of the kind `transformers`: the service that the role llama_reranker lays down, and its command line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ..build.builds import Build
from ..errors import InvalidInput, Prerequisite
from ..model import modelset
from ..names import check_keys
from ..tree import Tree
from . import values
from .cmdline import Command
from .definition import Instance
from .served import Served

KIND = "transformers"
BACKEND = "cuda"  # of the GPUs that torch is installed for
BUILD = "transformers-"  # then the version of the service: its code, packages and Python
_VERSION = re.compile(r"[0-9a-f]{12}")
# what `options` may set: the flags of the service (roles/llama_reranker/files/service/llama_reranker/__main__.py)
_WORDS = {"task": ("auto", "rerank", "embedding"), "scores": ("raw", "sigmoid")}
_TYPES = ("auto", "float32", "bfloat16", "float16")
_NUMBERS = ("threads", "max_length", "batch_tokens", "max_queue", "max_body")
OPTIONS = (*_WORDS, "dtype", *_NUMBERS)
# fields that mean nothing to this service
_FOREIGN = (
    *(
        "mmproj",
        "lora",
        "spec",
        "rpc",
        "ctx_size",
        "cache_type_k",
        "cache_type_v",
        "gpu_layers",
        "tensor_split",
        "jinja",
    ),
    *("split_mode", "main_gpu", "cpu_moe", "n_cpu_moe", "reasoning_format", "chat_template_file", "slots", "log_level"),
)


def check(where: str, instance: Instance) -> None:
    """Refuse what this kind does not have.

    :raises InvalidInput: names the field.
    """
    plain = Instance(instance.name)
    wrong = [name for name in _FOREIGN if getattr(instance, name) != getattr(plain, name)]
    if wrong:
        raise InvalidInput(f"{where} is served by Transformers: {', '.join(wrong)} mean nothing there.", "Remove them.")
    if instance.devices is not None and instance.devices.count:
        raise InvalidInput(f"{where}: name the device in devices.", "One GPU by its UUID, or none for the CPU.")
    if instance.devices is not None and len(instance.devices.ids) > 1:
        raise InvalidInput(f"{where}: the service uses one GPU, {len(instance.devices.ids)} are named.", "Name one.")
    check_keys(f"{where}: options", instance.options, OPTIONS)


def service(tree: Tree, build: str) -> Build:
    """The version of the service that an instance runs: the current one, or the one it names.

    :raises Prerequisite: it is not on this host.
    """
    home = tree.path("reranker")
    version = build[len(BUILD) :] if build.startswith(BUILD) else os.path.basename(os.path.realpath(f"{home}/current"))
    folder = os.path.join(home, version)
    if not _VERSION.fullmatch(version) or not os.path.exists(os.path.join(folder, ".complete")):
        raise Prerequisite(f"The service for Transformers models is not in {home}.", "Run the role llama_reranker.")
    return Build(BUILD + version, folder, {"files": {}, "recipe": {"backend": BACKEND}})


def find(tree: Tree, instance: Instance) -> Served:
    """The folder of a model: given as a path, or brought by the role under a name.

    :raises Prerequisite: the role did not bring it yet.
    :raises InvalidInput: the folder holds no model.
    """
    folder = instance.model
    if not folder.startswith("/"):
        folder = os.path.realpath(tree.path("reranker", "models", instance.model, "current"))
        if not os.path.isdir(folder):
            raise Prerequisite(
                f"Instance {instance.name!r} names the model {instance.model!r}, which is not on this host.",
                "Put it into llama_reranker_models and run the role llama_reranker, or give the path of its folder.",
            )
    found = [os.path.join(folder, name) for name in sorted(os.listdir(folder))] if os.path.isdir(folder) else []
    files = [path for path in found if path.endswith((".safetensors", ".json")) and os.path.isfile(path)]
    if os.path.join(folder, "config.json") not in files:
        raise InvalidInput(
            f"Instance {instance.name!r}: {folder} holds no config.json.",
            "Give the folder of a Transformers model: config.json, a tokenizer and safetensors.",
        )
    looked = tuple(modelset.look(path, sha256="") for path in files)
    model = modelset.ModelSet(
        name=instance.model, source=folder, path=os.path.join(folder, "config.json"), files=looked, architecture=""
    )
    return Served(model)


def compose(instance: Instance, build: Build, served: Served, key_file: str | None) -> Command:
    """The command of an instance; flags that llama-server has too are named as there.

    :raises InvalidInput: an option has a value that cannot be.
    """
    ids = instance.devices.ids if instance.devices else ()
    wanted: dict[str, Any] = {
        "model": os.path.dirname(served.model.path),
        "alias": (instance.alias or (instance.name,))[0],
        "host": instance.host,
        "port": instance.port or None,
        "api-key-file": key_file,
        "ssl-cert-file": instance.tls.cert if instance.tls else None,
        "ssl-key-file": instance.tls.key if instance.tls else None,
        "device": "cuda" if ids else "cpu",
        **_options(f"Instance {instance.name!r}", instance.options),
    }
    # -E, -s: no variable and no folder of a user changes what is imported
    argv = [os.path.join(build.folder, "venv", "bin", "python"), "-Es", os.path.join(build.folder, "llama-reranker.py")]
    for name, value in wanted.items():
        if value is not None:
            argv += [f"--{name}", str(value)]
    visible = {"CUDA_VISIBLE_DEVICES": ",".join(ids), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if ids else {}
    return Command({**visible, **instance.env}, tuple(argv))


def _options(where: str, given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name in _NUMBERS:
            found[name.replace("_", "-")] = values.number(where, f"options.{name}", value, 1, 1 << 40)
        else:
            found[name] = values.choice(where, f"options.{name}", value, _WORDS.get(name, _TYPES))
    return found
