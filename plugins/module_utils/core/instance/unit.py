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
from .cmdline import Command
from .definition import Instance

SECTION = "X-LlamaOps"
PREFIX = "llama-"
HEAD = "# Written by llamaops.llama_cpp: change the inventory, not this file."
# systemd.exec(5); each of these was seen to work with llama-server on the CPU
HARDENING = """\
DynamicUser=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
PrivateDevices=yes
ProtectProc=invisible
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
InaccessiblePaths=-/etc/llama.cpp
UMask=0077
"""


@dataclass(frozen=True)
class Launch:
    """Everything that a unit says about one instance, ready to be rendered.

    `facts` is the content of `[X-LlamaOps]`; `model_folders` are absolute; `key_file` is the file that
    holds the API keys on the host, `start_timeout` is in seconds.
    """

    instance: Instance
    command: Command
    facts: Mapping[str, str]
    model_folders: tuple[str, ...]
    probe: str
    start_timeout: int
    key_file: str | None = None

    @property
    def service(self) -> str:
        return PREFIX + self.instance.name


def credential_path(name: str) -> str:
    """Where a system service finds its key file (systemd: System and Service Credentials)."""
    return f"/run/credentials/{PREFIX}{name}.service/api-keys"


def render(launch: Launch, scope: str) -> str:
    """The complete unit of an instance for the manager of the system or of one user."""
    system = scope == "system"
    lines = [HEAD, "[Unit]", f"Description=llama.cpp {launch.instance.kind} {launch.instance.name}"]
    lines += ["Wants=network-online.target", "After=network-online.target"] if system else []
    lines += [f"RequiresMountsFor={' '.join(_quoted(path) for path in launch.model_folders)}"]
    lines += ["StartLimitIntervalSec=600", "StartLimitBurst=10", "", "[Service]", "Type=exec"]
    lines += [f"Environment={_quoted(f'{key}={value}')}" for key, value in launch.command.env.items()]
    lines += [exec_start(launch.command.argv)]
    lines += [f"ExecStartPost={launch.probe} {launch.instance.url} --wait {launch.start_timeout}"]
    lines += [f"TimeoutStartSec={launch.start_timeout + 10}", "TimeoutStopSec=10"]
    lines += ["Restart=always", "RestartSec=5", "RestartPreventExitStatus=78", "LimitCORE=0"]
    lines += [f"MemoryMax={launch.instance.memory_max}"] if launch.instance.memory_max else []
    lines += _protection(launch) if system else ["NoNewPrivileges=yes", "UMask=0077"]
    lines += ["", "[Install]", f"WantedBy={'multi-user' if system else 'default'}.target"]
    lines += ["", f"[{SECTION}]", *[f"{key}={value}" for key, value in launch.facts.items()]]
    return "\n".join(lines) + "\n"


def exec_start(argv: Sequence[str]) -> str:
    """`ExecStart=` with one flag and its value a line, quoted as systemd.service(5) asks."""
    groups: list[list[str]] = []
    for word in argv:
        if word.startswith("-") or not groups or not groups[-1][0].startswith("-"):
            groups.append([])
        groups[-1].append(_escaped(word))
    return "ExecStart=" + " \\\n  ".join(" ".join(group) for group in groups)


def _protection(launch: Launch) -> list[str]:
    below_home = any(path.split(os.sep)[1] in ("home", "root") for path in launch.model_folders)
    lines = HARDENING.format(home="read-only" if below_home else "yes").splitlines()
    lines += [f"SupplementaryGroups={MODEL_GROUP}"]
    lines += [f"LoadCredential=api-keys:{_quoted(launch.key_file)}"] if launch.key_file else []
    lines += ["IPAddressDeny=any", "IPAddressAllow=localhost"] if launch.instance.loopback else []
    return lines


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
