# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a systemd unit, and what can be read back from one.

The unit is the truth about an instance on a host: the full command, its limits, and in the section
`[X-LlamaOps]`, which systemd ignores, where it came from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..tree import MODEL_GROUP
from . import hardening
from .cmdline import Command
from .definition import Instance

SECTION = "X-LlamaOps"
SCHEMA = 1  # of what the section and instance.json say
PREFIX = "llama-"
STATE = "llama"  # below /var/lib, one folder an instance
GPU_READY = "llama-gpu-ready.service"
STORM_SECONDS, STORM_STARTS = 600, 10  # so many crashes in so much time end in the state failed
GPU_WAIT = 2 * STORM_SECONDS // STORM_STARTS  # seconds; shorter ones would count as a storm
HEAD = "# Written by llamaops.llama_cpp: change the inventory, not this file."


@dataclass(frozen=True)
class Launch:
    """Everything that a unit says about one instance, ready to be rendered.

    `facts` is the content of `[X-LlamaOps]`; `model_folders` are absolute; `key_file` is the file that
    holds the API keys on the host, `start_timeout` is in seconds. `devices` are the GPUs of this host that it
    was given, by id; `vendors` are their makers (`nvidia`, `amd`, `intel`). `presets` is the text of a router's
    presets file, `tls_key` the private key on the host. `head` is the address of the only client of a worker; `cache`
    names its folder below /var/cache.
    """

    instance: Instance
    command: Command
    facts: Mapping[str, str]
    model_folders: tuple[str, ...]
    probe: str
    start_timeout: int
    key_file: str | None = None
    devices: tuple[str, ...] = ()
    vendors: tuple[str, ...] = ()
    presets: str | None = None
    tls_key: str | None = None
    head: str = ""
    cache: str = ""

    @property
    def workers(self) -> list[str]:
        """The workers that a head is served by, as `host:port`."""
        return [worker.address for worker in self.instance.rpc if worker.address]

    @property
    def link(self) -> str:
        """The program that watches connections between heads and workers."""
        return os.path.join(os.path.dirname(self.probe), "llama-rpc-link")

    @property
    def allowed(self) -> list[str] | None:
        """The only addresses that it talks to, None for all: a worker to its head, a local server to its workers."""
        if self.head:
            return [self.head]
        if not self.instance.loopback:
            return None
        return ["localhost", *[worker.rpartition(":")[0].strip("[]") for worker in self.workers]]

    @property
    def service(self) -> str:
        return PREFIX + self.instance.name


def credential_path(name: str, what: str = "api-keys") -> str:
    """Where a system service finds its key file (systemd: System and Service Credentials)."""
    return f"/run/credentials/{PREFIX}{name}.service/{what}"


def socket_folder(name: str) -> str:
    """Where the socket of a system service may lie: the only folder below /run that it can write to."""
    return f"/run/{PREFIX}{name}"


def watchdog_name(name: str) -> str:
    """The unit, without its ending, that watches an instance. No instance can have this name."""
    return f"{PREFIX}watchdog@{name}"


def render(launch: Launch, scope: str, version: int = 0, missing: Sequence[str] = ()) -> str:
    """The complete unit of an instance for the manager of the system or of one user.

    :param version: of systemd; it learned to wait longer after each crash with 254.
    :param missing: groups that this host does not have; systemd starts nothing in a group that is not there.
    """
    system = scope == "system"
    lines = [HEAD, "[Unit]", f"Description=llama.cpp {launch.instance.kind} {launch.instance.name}"]
    lines += ["Wants=network-online.target", "After=network-online.target"] if system else []
    lines += [f"Wants={watchdog_name(launch.instance.name)}.timer"]
    # wanted, not required: each instance waits for its own GPUs, and none ends with the one that waits for all
    lines += [f"Wants={GPU_READY}", f"After={GPU_READY}"] if system and launch.devices else []
    mounts = " ".join(_quoted(path) for path in launch.model_folders)
    lines += [f"RequiresMountsFor={mounts}"] if mounts else []
    storm = [f"StartLimitIntervalSec={STORM_SECONDS}", f"StartLimitBurst={STORM_STARTS}"]
    lines += ["StartLimitIntervalSec=0"] if launch.head else storm  # whoever needs a worker waits for it
    lines += ["", "[Service]", "Type=exec"]
    lines += [f"Environment={_quoted(f'{key}={value}')}" for key, value in launch.command.env.items()]
    lines += _gpu_lines(launch) if system and launch.devices else []
    lines += _socket_lines(launch, system)
    # a start that waited in vain is tried again for ever, each attempt outlasts the storm limit
    waits = [f"{launch.link} await --wait {GPU_WAIT} {' '.join(launch.workers)}"] if launch.workers else []
    lines += [f"ExecStartPre={command}" for command in waits]
    lines += [exec_start(launch.command.argv)]
    lines += [f"ExecStartPost={command}" for command in _when_ready(launch, system)]
    timeout = max(launch.start_timeout, GPU_WAIT if launch.devices or waits else 0)  # of each of the commands
    lines += [f"TimeoutStartSec={timeout + 10}", "TimeoutStopSec=10"]
    lines += ["Restart=always", *_backoff(version), "RestartPreventExitStatus=78", "LimitCORE=0"]
    lines += [f"MemoryMax={launch.instance.memory_max}"] if launch.instance.memory_max else []
    lines += _protection(launch, missing) if system else ["NoNewPrivileges=yes", "UMask=0077"]
    lines += ["", "[Install]", f"WantedBy={'multi-user' if system else 'default'}.target"]
    lines += ["", f"[{SECTION}]", *[f"{key}={value}" for key, value in launch.facts.items()]]
    return "\n".join(lines) + "\n"


def _when_ready(launch: Launch, system: bool) -> list[str]:
    """What waits until it serves; then has the kernel end connections whose other side is gone, with root's rights."""
    keep = f"+{launch.link} keep --pid $MAINPID"
    if launch.head:
        return [f"{keep} --wait {launch.start_timeout}"]
    probe = f"{launch.probe} {launch.instance.url} --wait {launch.start_timeout}"
    # its umask would keep a socket for its own user, who is nobody else: it is for this host, as a port on loopback is
    opened = [f"/bin/chmod 0666 {_quoted(launch.instance.socket)}"] if launch.instance.socket and system else []
    return [probe, *opened, *([keep] if launch.workers and system else [])]


def _backoff(version: int) -> list[str]:
    """Back at once after one crash, slower with each further one where systemd can (RestartSteps=)."""
    if version < 254:
        return ["RestartSec=2"]
    return ["RestartSec=100ms", "RestartSteps=6", "RestartMaxDelaySec=60"]


def _socket_lines(launch: Launch, system: bool) -> list[str]:
    """llama-server leaves its socket behind, and does not start over one that is there."""
    if not launch.instance.socket:
        return []
    folder = [f"RuntimeDirectory={PREFIX}{launch.instance.name}", "RuntimeDirectoryMode=0755"] if system else []
    return [*folder, f"ExecStartPre=/bin/rm -f {_quoted(launch.instance.socket)}"]


def _gpu_lines(launch: Launch) -> list[str]:
    """Wait for the GPUs; a start that waited in vain is tried again for ever, each attempt outlasts the storm limit."""
    program = os.path.join(os.path.dirname(launch.probe), "llama-gpu-ready")
    waiting = f"{program} --wait {GPU_WAIT} {' '.join(_quoted(device) for device in launch.devices)}"
    cache = [f"Environment=CUDA_CACHE_PATH=/var/lib/{STATE}/{launch.instance.name}/cuda"]
    return [*(cache if "nvidia" in launch.vendors else []), f"ExecStartPre={waiting}"]


def exec_start(argv: Sequence[str]) -> str:
    """`ExecStart=` with one flag and its value a line, quoted as systemd.service(5) asks."""
    groups: list[list[str]] = []
    for word in argv:
        if word.startswith("-") or not groups or not groups[-1][0].startswith("-"):
            groups.append([])
        groups[-1].append(_escaped(word))
    return "ExecStart=" + " \\\n  ".join(" ".join(group) for group in groups)


def _protection(launch: Launch, missing: Sequence[str]) -> list[str]:
    below_home = any(path.split(os.sep)[1] in ("home", "root") for path in launch.model_folders)
    home = "read-only" if below_home else "yes"
    compiles = launch.instance.kind == "transformers"  # torch writes the kernels that fit the CPU
    groups = [] if launch.head else [MODEL_GROUP]
    lines = hardening.directives(launch.vendors, launch.allowed, home, groups, missing, compiles)
    lines += [f"StateDirectory={STATE}/{launch.instance.name}"]
    lines += [f"CacheDirectory={launch.cache}", "CacheDirectoryMode=0700"] if launch.cache else []
    lines += [f"LoadCredential=api-keys:{_quoted(launch.key_file)}"] if launch.key_file else []
    return lines + ([f"LoadCredential=tls-key:{_quoted(launch.tls_key)}"] if launch.tls_key else [])


def _escaped(word: str) -> str:
    """A word of a command line; `%` and `$` would be expanded."""
    return _quoted(word).replace("$", "$$")


def _quoted(word: str) -> str:
    text = word.replace("%", "%%")
    if text and not set(text) & set(" \t\"'\\;"):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# ------------------------------------------------------------------ reading back


def facts_of(text: str) -> dict[str, str]:
    """The content of `[X-LlamaOps]`; empty for a unit that is not ours."""
    facts: dict[str, str] = {}
    inside = False
    for line in text.splitlines():
        if line.startswith("["):
            inside = line.strip() == f"[{SECTION}]"
        elif inside and "=" in line:
            key, value = line.split("=", 1)
            facts[key.strip()] = value.strip()
    return facts


def identity(text: str) -> tuple[str, ...]:
    """The lines whose change needs a restart: command, environment, credentials, build and model."""
    joined = text.replace("\\\n", "")
    kept = ("ExecStart=", "Environment=", "LoadCredential=", "Build=", "Model=", "ModelSHA256=")
    return tuple(line for line in joined.splitlines() if line.startswith(kept))
