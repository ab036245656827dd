# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance as the inventory asks for it: checked, with every default filled in."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidInput
from ..names import check_keys, check_name

KINDS = ("server", "embedding")
STATES = ("started", "stopped", "restarted", "absent")
RESTARTS = ("needed", "never", "always")
CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
SECRET_WORD = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)", re.IGNORECASE)
ENV_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
DEFAULT_CTX_SIZE = 8192


@dataclass(frozen=True)
class Instance:
    """One supervised llama-server; sizes in tokens, times in seconds, `memory_max` in bytes."""

    name: str
    kind: str = "server"
    state: str = "started"
    model: str = ""
    port: int = 0
    host: str = "127.0.0.1"
    keys: tuple[str, ...] = ()
    ctx_size: int | None = None
    parallel: int = 1
    cache_type_k: str | None = None
    cache_type_v: str | None = None
    build: str = "active"
    options: Mapping[str, Any] = field(default_factory=dict)
    allow_unsafe: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    restart: str = "needed"
    start_timeout: int | None = None
    drain_timeout: int = 30
    memory_max: int | None = None

    @property
    def loopback(self) -> bool:
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def wanted(self) -> bool:
        """True when the instance should run after the call."""
        return self.state in ("started", "restarted")

    @property
    def url(self) -> str:
        """Where this host itself reaches the instance."""
        address = ipaddress.ip_address(self.host)
        if address.is_unspecified:
            address = ipaddress.ip_address("::1" if address.version == 6 else "127.0.0.1")
        shown = f"[{address}]" if address.version == 6 else str(address)
        return f"http://{shown}:{self.port}"


FIELDS = ("name", "bind", *[key for key in Instance.__dataclass_fields__ if key not in ("name", "host")])


def read_all(entries: Sequence[Mapping[str, Any]], address: str | None = None) -> list[Instance]:
    """Check a list of instances; `address` is what `bind: private` means on this host.

    :raises InvalidInput: an entry is wrong, or two entries share a name or a port.
    """
    instances = [read(entry, address) for entry in entries]
    _unique("name", [item.name for item in instances])
    ports = [item for item in instances if item.state != "absent"]
    _unique("port", [str(item.port) for item in ports], [item.name for item in ports])
    return instances


def read(entry: Mapping[str, Any], address: str | None = None) -> Instance:
    """Check one instance. Values that are None count as not given.

    :raises InvalidInput: names the instance, the key, what was found and what is possible.
    """
    name = check_name("instance", entry.get("name"))
    where = f"Instance {name!r}"
    check_keys(where, entry, FIELDS)
    given = {key: value for key, value in entry.items() if value is not None}
    state = _choice(where, "state", given.get("state", "started"), STATES)
    if state == "absent":
        return Instance(name=name, state=state)
    host = _host(where, given.get("bind", "loopback"), address)
    instance = Instance(
        name=name,
        kind=_choice(where, "kind", given.get("kind", "server"), KINDS),
        state=state,
        model=_text(where, "model", given.get("model", "")),
        port=_whole(where, "port", given.get("port"), 1024, 65535),
        host=host,
        keys=tuple(check_name("key", key) for key in given.get("keys", ())),
        ctx_size=_optional(where, "ctx_size", given, 1, 1 << 30),
        parallel=_whole(where, "parallel", given.get("parallel", 1), 1, 256),
        cache_type_k=_cache_type(where, "cache_type_k", given),
        cache_type_v=_cache_type(where, "cache_type_v", given),
        build=_text(where, "build", given.get("build", "active")),
        options=dict(given.get("options", {})),
        allow_unsafe=tuple(given.get("allow_unsafe", ())),
        env=_env(where, given.get("env", {})),
        restart=_choice(where, "restart", given.get("restart", "needed"), RESTARTS),
        start_timeout=_optional(where, "start_timeout", given, 1, 86400),
        drain_timeout=_whole(where, "drain_timeout", given.get("drain_timeout", 30), 0, 86400),
        memory_max=_optional(where, "memory_max", given, 1 << 20, 1 << 50),
    )
    if not instance.model:
        raise InvalidInput(
            f"{where} names no model.", "Give the name of a model set or the absolute path of a GGUF file."
        )
    if not instance.loopback and not instance.keys:
        raise InvalidInput(
            f"{where} would listen on {host} without a key, open to whoever reaches that address.",
            "Name at least one key in keys, or use bind: loopback.",
        )
    return instance


def key_text(instance: Instance, keys: Mapping[str, str]) -> str:
    """The content of the key file of an instance: one key a line, as llama-server reads it.

    :raises InvalidInput: a named key has no value, or one that the file cannot hold.
    """
    lines = []
    for name in instance.keys:
        value = keys.get(name)
        if value is None:
            raise InvalidInput(
                f"Instance {instance.name!r} names the key {name!r}, which has no value.",
                f"Known keys: {', '.join(sorted(keys)) or 'none'}. Give it in llama_keys.",
            )
        if not re.fullmatch(r"[!-~]{8,512}", value) or value.startswith("#"):
            raise InvalidInput(
                f"The key {name!r} cannot be used.",
                "A key has 8 to 512 printable ASCII characters without blanks and does not start with '#'.",
            )
        lines.append(value)
    return "".join(line + "\n" for line in lines)


def _host(where: str, bind: Any, address: str | None) -> str:
    known = {"loopback": "127.0.0.1", "public": "0.0.0.0", "private": address}
    wanted = known.get(bind, bind) if isinstance(bind, str) else None
    if bind == "private" and not address:
        raise InvalidInput(f"{where} has bind: private and this host has no address.", "Set llama_address.")
    try:
        return str(ipaddress.ip_address(wanted or ""))
    except ValueError:
        raise InvalidInput(
            f"{where} cannot bind to {bind!r}.", "Use loopback, private, public or one IP address of the host."
        ) from None


def _env(where: str, env: Any) -> dict[str, str]:
    if not isinstance(env, Mapping):
        raise InvalidInput(f"{where}: env must be a dictionary.")
    for key, value in env.items():
        if not isinstance(key, str) or not ENV_NAME.fullmatch(key):
            raise InvalidInput(f"{where}: {key!r} cannot name an environment variable.")
        if SECRET_WORD.search(key):
            raise InvalidInput(
                f"{where}: env {key} looks like a secret, and unit files can be read by everybody.",
                "Use keys for API keys.",
            )
        if key.startswith("LLAMA_ARG_"):
            raise InvalidInput(f"{where}: env {key} would set a flag unseen.", "Use options, or the field.")
        _text(where, f"env {key}", str(value))
    return {key: str(value) for key, value in env.items()}


def _choice(where: str, key: str, value: Any, allowed: Collection[str]) -> str:
    if value not in allowed:
        raise InvalidInput(f"{where}: {key} cannot be {value!r}.", f"Possible: {', '.join(allowed)}.")
    return str(value)


def _text(where: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise InvalidInput(f"{where}: {key} must be one line of text, not {value!r}.")
    return value


def _whole(where: str, key: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidInput(f"{where}: {key} must be a whole number from {low} to {high}, not {value!r}.")
    return value


def _optional(where: str, key: str, given: Mapping[str, Any], low: int, high: int) -> int | None:
    return _whole(where, key, given[key], low, high) if key in given else None


def _cache_type(where: str, key: str, given: Mapping[str, Any]) -> str | None:
    return _choice(where, key, given[key], CACHE_TYPES) if key in given else None


def _unique(what: str, values: Sequence[str], names: Sequence[str] | None = None) -> None:
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        if value in seen:
            who = f" ({names[seen[value]]} and {names[index]})" if names else ""
            raise InvalidInput(f"The {what} {value} is given to two instances{who}.", "Every instance needs its own.")
        seen[value] = index
