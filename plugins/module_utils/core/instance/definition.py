# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance as the inventory asks for it: checked, with every default filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidInput
from ..names import check_keys, check_name
from . import front, lora, naming, network, placement, spec, values
from .front import Front
from .lora import Lora
from .network import Tls
from .placement import Devices, PlanRules, Worker
from .spec import Spec
from .values import AUTO, Given, Number

KINDS = ("server", "embedding", "rerank", "router", "transformers")
STATES = ("started", "stopped", "restarted", "absent")
RESTARTS = ("needed", "never", "always")
PROOFS = ("answers", "ranks")
CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
LOG_LEVELS = ("error", "warning", "info", "trace", "debug")  # 1 to 5 of --verbosity
DEFAULT_CTX_SIZE = 8192
NO_MMPROJ = "none"


@dataclass(frozen=True)
class Instance:
    """One supervised llama-server; sizes in tokens, times in seconds, `memory_max` in bytes.

    Where None or `auto` stands in a field of placement, the plan chooses. `models` are those of a router, each an
    instance without a port of its own; `load` says that the router loads one when it starts. `adopt` is True, False or
    `force`.
    """

    name: str
    kind: str = "server"
    state: str = "started"
    model: str = ""
    mmproj: str | None = None
    lora: tuple[Lora, ...] = ()
    spec: Spec | None = None
    models: tuple[Instance, ...] = ()
    load: bool = False
    alias: tuple[str, ...] = ()
    port: int = 0
    host: str = "127.0.0.1"
    keys: tuple[str, ...] = ()
    tls: Tls | None = None
    devices: Devices | None = None
    rpc: tuple[Worker, ...] = ()
    ctx_size: Number | None = None
    parallel: Number = 1
    cache_type_k: str | None = None
    cache_type_v: str | None = None
    gpu_layers: Number | None = None
    tensor_split: tuple[float, ...] | str | None = None
    split_mode: str | None = None
    main_gpu: int | None = None
    cpu_moe: bool = False
    n_cpu_moe: Number | None = None
    plan: PlanRules = PlanRules()
    jinja: bool | None = None
    reasoning_format: str | None = None
    chat_template_file: str | None = None
    slots: bool | None = None
    metrics: bool | None = None
    log_level: str | None = None
    proof: str = "answers"
    build: str = "active"
    options: Mapping[str, Any] = field(default_factory=dict)
    allow_unsafe: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    restart: str = "needed"
    start_timeout: int | None = None
    drain_timeout: int = 30
    memory_max: int | None = None
    front: Front | None = None
    adopt: bool | str = False

    @property
    def loopback(self) -> bool:
        """True when only this host reaches it."""
        return network.is_local(self.host)

    @property
    def socket(self) -> str:
        """The path of the socket it listens on; empty when it listens on a port."""
        return self.host if self.host.startswith("/") else ""

    @property
    def wanted(self) -> bool:
        """True when the instance should run after the call."""
        return self.state in ("started", "restarted")

    @property
    def url(self) -> str:
        """Where the probe reaches the instance from this host."""
        return network.url(self.host, self.port, self.tls)


FIELDS = ("name", "bind", *[key for key in Instance.__dataclass_fields__ if key not in ("name", "host", "load")])
# what a model of a router may say
MODEL_FIELDS = (
    *("kind", "model", "mmproj", "lora", "spec", "alias", "devices", "ctx_size", "parallel", "cache_type_k"),
    *("cache_type_v", "gpu_layers", "tensor_split", "split_mode", "main_gpu", "cpu_moe", "n_cpu_moe", "plan", "jinja"),
    *("reasoning_format", "chat_template_file", "options", "allow_unsafe", "proof", "load"),
)
# what only its models have, not the router itself
_OF_MODELS = [key for key in MODEL_FIELDS if key not in ("kind", "options", "allow_unsafe", "alias", "load")]


def read_all(entries: Sequence[Mapping[str, Any]], address: str | None = None) -> list[Instance]:
    """Check a list of instances; `address` is what `bind: private` means on this host.

    :raises InvalidInput: an entry is wrong, or two entries share a name or a port.
    """
    instances = [read(entry, address) for entry in entries]
    _unique("name", [item.name for item in instances])
    there = [item for item in instances if item.state != "absent"]
    _unique("port", *front.ports(there))
    sockets = [item for item in there if item.socket]
    _unique("socket", [item.socket for item in sockets], [item.name for item in sockets])
    return instances


def read(entry: Mapping[str, Any], address: str | None = None) -> Instance:
    """Check one instance. Values that are None count as not given.

    :raises InvalidInput: names the instance, the key, what was found and what is possible.
    """
    name = naming.check(entry.get("name"))
    where = f"Instance {name!r}"
    check_keys(where, entry, FIELDS)
    given = Given(where, entry)
    state = given.choice("state", STATES, "started")
    if state == "absent":
        return Instance(name=name, state=state)
    instance = Instance(
        name=name,
        state=state,
        models=_models(where, given.get("models", {})),
        **_serving(given),
        **_network(given, address),
        **_running(given),
    )
    _check_kind(instance, given)
    if not instance.loopback and not instance.keys:
        raise InvalidInput(
            f"{where} would listen on {instance.host} without a key, open to whoever reaches that address.",
            "Name at least one key in keys, or use bind: loopback.",
        )
    front.check(where, instance)
    return instance


def _serving(given: Given) -> dict[str, Any]:
    """What is served and how it is placed: the fields that a model of a router has too."""
    where, kind = given.where, given.choice("kind", KINDS, "server")
    return {
        "kind": kind,
        "model": given.text("model", ""),
        "mmproj": NO_MMPROJ if given.get("mmproj") == NO_MMPROJ else given.path("mmproj"),
        "lora": tuple(lora.read(where, item) for item in given.items("lora")),
        "spec": spec.read(where, given.get("spec")) if "spec" in given else None,
        "alias": tuple(_alias(where, item) for item in given.items("alias")),
        "devices": placement.devices(where, given.get("devices")),
        "ctx_size": given.whole("ctx_size", 1, 1 << 30, AUTO),
        "parallel": given.whole("parallel", 1, 256, AUTO, default=1),
        "cache_type_k": given.choice("cache_type_k", (*CACHE_TYPES, AUTO)),
        "cache_type_v": given.choice("cache_type_v", (*CACHE_TYPES, AUTO)),
        "gpu_layers": given.whole("gpu_layers", 0, 10000, AUTO, "all"),
        "tensor_split": placement.tensor_split(where, given.get("tensor_split")),
        "split_mode": given.choice("split_mode", placement.SPLIT_MODES),
        "main_gpu": given.whole("main_gpu", 0, 63),
        "cpu_moe": given.switch("cpu_moe", False),
        "n_cpu_moe": given.whole("n_cpu_moe", 0, 10000, AUTO),
        "plan": placement.rules(where, given.get("plan", {})),
        "jinja": given.switch("jinja"),
        "reasoning_format": given.text("reasoning_format"),
        "chat_template_file": given.path("chat_template_file"),
        "proof": given.choice("proof", PROOFS, "ranks" if kind == "rerank" else "answers"),
        "options": values.mapping(where, "options", given.get("options", {})),
        "allow_unsafe": tuple(given.items("allow_unsafe")),
    }


def _network(given: Given, address: str | None) -> dict[str, Any]:
    where = given.where
    host = network.host(where, given.get("bind", "loopback"), address)
    socket = host.startswith("/")
    if socket and ("port" in given or "tls" in given):
        raise InvalidInput(f"{where} binds to a socket.", "Leave port and tls out.")
    return {
        "host": host,
        "port": 0 if socket else values.number(where, "port", given.get("port"), 1024, 65535),
        "keys": tuple(check_name("key", key) for key in given.items("keys")),
        "tls": network.tls(where, given.get("tls")) if "tls" in given else None,
        "rpc": placement.workers(where, given.get("rpc", ())),
        "slots": given.switch("slots"),
        "metrics": given.switch("metrics"),
        "front": front.read(where, given.get("front", {}), address),
    }


def _running(given: Given) -> dict[str, Any]:
    return {
        "build": given.text("build", "active"),
        "adopt": given.switch("adopt", False, values.FORCE),
        "env": values.env(given.where, given.get("env", {})),
        "log_level": given.choice("log_level", LOG_LEVELS),
        "restart": given.choice("restart", RESTARTS, "needed"),
        "start_timeout": given.whole("start_timeout", 1, 86400),
        "drain_timeout": given.whole("drain_timeout", 0, 86400, default=30),
        "memory_max": given.whole("memory_max", 1 << 20, 1 << 50),
    }


def _models(where: str, value: Any) -> tuple[Instance, ...]:
    """The models of a router by name."""
    found = []
    for name, entry in sorted(values.table(where, "models", value).items()):
        inside = f"{where}: the model {check_name('model of a router', name)!r}"
        check_keys(inside, values.mapping(inside, "it", entry), MODEL_FIELDS)
        given = Given(inside, entry)
        found.append(Instance(name=name, load=given.switch("load", False), **_serving(given)))
        if found[-1].kind in ("router", "transformers"):
            raise InvalidInput(f"{inside} cannot be of the kind {found[-1].kind}.")
        _check_served(inside, found[-1])
    return tuple(found)


def _check_kind(instance: Instance, given: Given) -> None:
    """Refuse fields that do not go together."""
    where = given.where
    if instance.kind != "router":
        if instance.models:
            raise InvalidInput(f"{where}: models belong to the kind router.", "Use model, or kind: router.")
        _check_served(where, instance)
        return
    wrong = [key for key in _OF_MODELS if key in given]
    if wrong:
        raise InvalidInput(f"{where} is a router: {', '.join(wrong)} belong to its models.", "Move them there.")
    if not instance.models:
        raise InvalidInput(f"{where} is a router without models.", "List them by name in models.")


def _check_served(where: str, item: Instance) -> None:
    if not item.model:
        raise InvalidInput(
            f"{where} names no model.", "Give the name of a model set or the absolute path of a GGUF file."
        )
    if item.spec and item.kind != "server":
        raise InvalidInput(f"{where}: only the kind server generates text, so only it has spec.")
    if item.cpu_moe and item.n_cpu_moe is not None:
        raise InvalidInput(f"{where}: cpu_moe and n_cpu_moe exclude each other.", "Keep one of them.")
    if item.proof == "ranks" and item.kind != "rerank":
        raise InvalidInput(f"{where}: proof: ranks is for the kind rerank.")


def _alias(where: str, value: Any) -> str:
    if not values.text(where, "alias", value) or "," in value or value.startswith("-"):
        raise InvalidInput(f"{where}: {value!r} cannot be an alias.", "Use text without commas, not begun by a dash.")
    return str(value)


def _unique(what: str, found: Sequence[str], names: Sequence[str] | None = None) -> None:
    seen: dict[str, int] = {}
    for index, value in enumerate(found):
        if value in seen:
            who = f" ({names[seen[value]]} and {names[index]})" if names else ""
            raise InvalidInput(f"The {what} {value} is given to two instances{who}.", "Every instance needs its own.")
        seen[value] = index
