# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The units beside that of an instance: its watchdog with a timer, and the one that makes GPUs ready."""

from __future__ import annotations

import os

from .unit import HEAD, PREFIX, SECTION, Launch, exec_start, watchdog_name

EVERY = 30  # seconds between two looks of a watchdog
LONGEST = 1800  # seconds one look may last: it insists for up to 15 minutes
# it must reach the manager, the server and the key file as root; nothing else of what root may do is needed
WATCHDOG = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
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
MemoryMax=256M
TasksMax=16
"""


def watchdog(launch: Launch, scope: str) -> str:
    """The service that looks after an instance once."""
    name, system = launch.instance.name, scope == "system"
    argv = [os.path.join(os.path.dirname(launch.probe), "llama-watchdog"), name, launch.instance.url]
    argv += ["--kind", launch.instance.kind]
    argv += ["--key-file", launch.key_file] if launch.key_file else []
    argv += ["--sleepy"] if "--sleep-idle-seconds" in launch.command.argv else []
    argv += [] if system else ["--user"]
    lines = [HEAD, "[Unit]", f"Description=Watchdog of {PREFIX}{name}", "", "[Service]", "Type=oneshot"]
    if launch.workers and "--sleepy" not in argv:  # a model that sleeps has left its workers
        lines += [f"ExecStart={launch.link} look {launch.service}.service {' '.join(launch.workers)}"] if system else []
    lines += [exec_start(argv), f"TimeoutStartSec={LONGEST}"]
    lines += ["RuntimeDirectory=llama-watchdog", "RuntimeDirectoryPreserve=yes"]
    # a start and an end every half minute would fill the journal: only what it has to say
    lines += ["SyslogLevel=notice", "LogLevelMax=notice"]
    lines += WATCHDOG.splitlines() if system else ["NoNewPrivileges=yes"]
    return "\n".join([*lines, "", f"[{SECTION}]", f"Watches={name}"]) + "\n"


def timer(name: str, every: int = EVERY) -> str:
    """What runs the watchdog while the instance is wanted; it goes by a clock that nobody sets."""
    lines = [HEAD, "[Unit]", f"Description=Watchdog of {PREFIX}{name}"]
    lines += [f"PartOf={PREFIX}{name}.service", f"After={PREFIX}{name}.service", "", "[Timer]"]
    lines += [
        f"OnActiveSec={every}",
        f"OnUnitInactiveSec={every}",
        "AccuracySec=5",
        f"Unit={watchdog_name(name)}.service",
    ]
    return "\n".join([*lines, "", f"[{SECTION}]", f"Watches={name}"]) + "\n"


def gpu_ready(launch: Launch) -> str:
    """What makes device nodes and waits for the GPUs of all instances, once a boot."""
    program = os.path.join(os.path.dirname(launch.probe), "llama-gpu-ready")
    lines = [HEAD, "[Unit]", "Description=GPUs of llama.cpp instances", "After=systemd-modules-load.service"]
    lines += ["", "[Service]", "Type=oneshot", "RemainAfterExit=yes", f"ExecStart={program}", "TimeoutStartSec=180"]
    lines += ["ProtectHome=yes", "PrivateTmp=yes", "PrivateNetwork=yes", "NoNewPrivileges=yes", "LimitCORE=0"]
    return "\n".join([*lines, "", f"[{SECTION}]", "Schema=1"]) + "\n"
