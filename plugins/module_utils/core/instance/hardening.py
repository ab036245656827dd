# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a system service of ours is kept from, directive by directive with its reason (systemd.exec(5)).

The directives follow the threats: a server parses files and requests of strangers. It shall read its build, its
model and its keys, answer on its socket, and reach nothing else, not even after it was taken over.
"""

from __future__ import annotations

from collections.abc import Sequence

Directive = tuple[str, str, str]  # name, value, reason

COMMON: tuple[Directive, ...] = (
    ("DynamicUser", "yes", "a user that exists only while the service runs and owns nothing"),
    ("NoNewPrivileges", "yes", "no program it starts gains rights by its set-uid bit"),
    ("CapabilityBoundingSet", "", "no part of what root may do, ever"),
    ("AmbientCapabilities", "", "none handed down either"),
    ("ProtectSystem", "strict", "every file of the host is read-only, but for the state folder"),
    ("PrivateTmp", "yes", "no file of others in /tmp, and none of its own left there"),
    ("ProtectProc", "invisible", "no process of others in /proc, so no command line and no environment either"),
    ("ProtectKernelTunables", "yes", "/proc/sys and /sys are read-only"),
    ("ProtectKernelModules", "yes", "no module is loaded on its behalf"),
    ("ProtectKernelLogs", "yes", "the kernel's log names addresses and devices"),
    ("ProtectControlGroups", "yes", "its limits cannot be lifted from inside"),
    ("ProtectClock", "yes", "the clock of the host stays as it is"),
    ("ProtectHostname", "yes", "so does its name"),
    ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX", "no raw packets, no netlink, no exotic protocol"),
    ("RestrictNamespaces", "yes", "user namespaces are the usual first step of an escape"),
    ("RestrictRealtime", "yes", "real-time scheduling can stop a host"),
    ("RestrictSUIDSGID", "yes", "no file that lends rights to whoever starts it"),
    ("LockPersonality", "yes", "no other execution domain, which weakens address randomisation"),
    ("KeyringMode", "private", "no key of others from the kernel's keyrings"),
    ("RemoveIPC", "yes", "no shared memory is left behind"),
    ("SystemCallArchitectures", "native", "the system calls of a second architecture escape the filter"),
    ("SystemCallFilter", "@system-service", "what servers need; not ptrace, mount, bpf, kexec, reboot or swap"),
    ("SystemCallErrorNumber", "EPERM", "a refused call is an error that a program can report, not its death"),
    ("InaccessiblePaths", "-/etc/llama.cpp", "llama.cpp reads config.ini there, which no unit would show"),
    ("UMask", "0077", "what it writes is for itself"),
    ("StateDirectoryMode", "0700", "the state folder too"),
    ("TasksMax", "4096", "threads for the largest hosts and many clients; a fork bomb ends here"),
)
WITHOUT_GPU: tuple[Directive, ...] = (
    ("PrivateDevices", "yes", "no device but null, zero, full and the random ones"),
    ("DevicePolicy", "closed", "nor by a device node of its own making"),
)
NO_COMPILER: tuple[Directive, ...] = (
    (
        "MemoryDenyWriteExecute",
        "yes",
        "no memory that is first written and then run; GPU drivers and torch compile there",
    ),
    ("ProcSubset", "pid", "nothing of the kernel in /proc; GPU drivers read /proc/driver, torch /proc/cpuinfo"),
)
WITH_GPU: tuple[Directive, ...] = (
    ("DevicePolicy", "closed", "no device but the pseudo devices and those below"),
)  # fmt: skip
FENCED: tuple[Directive, ...] = (
    (
        "IPAddressDeny",
        "any",
        "it talks to nobody but those that the lines below name, whoever asks and whatever it wants",
    ),
)
# groups of device nodes as /proc/devices lists them: a path would name a number that the next boot gives to another
NODES = {
    "nvidia": ("char-nvidia*",),  # nvidia0.., nvidiactl, nvidia-uvm, nvidia-caps of MIG
    "amd": ("char-kfd", "char-drm"),  # ROCm; renderD* of Vulkan and ROCm
    "intel": ("char-drm", "char-accel"),
}
# NVIDIA's nodes are open to everybody; the others belong to these groups of systemd's own sysusers.d/basic.conf
GPU_GROUPS = ("render", "video")
GROUPS = {"nvidia": (), "amd": GPU_GROUPS, "intel": GPU_GROUPS}


def directives(
    vendors: Sequence[str],
    allowed: Sequence[str] | None,
    home: str,
    groups: Sequence[str],
    missing: Sequence[str] = (),
    compiles: bool = False,
) -> list[str]:
    """The lines of a unit's `[Service]` that confine a server.

    :param vendors: makers of the GPUs it was given, `nvidia`, `amd` or `intel`; none for the CPU.
    :param allowed: the only addresses that it may talk to, `localhost` for this host; None for all.
    :param home: what it sees of people's folders: `yes` (nothing) or `read-only`.
    :param groups: further groups that it needs, to read its models for example.
    :param missing: groups of GPUs that the host does not have.
    :param compiles: it makes machine code while it runs.
    """
    chosen = [*COMMON, ("ProtectHome", home, "people's folders are not its business, unless its model lies there")]
    chosen += WITH_GPU if vendors else WITHOUT_GPU
    chosen += () if vendors or compiles else NO_COMPILER
    chosen += FENCED if allowed is not None else ()
    lines = [f"{name}={value}" for name, value, _reason in chosen]
    lines += [f"IPAddressAllow={address}" for address in allowed or ()]
    makers = [maker for vendor in vendors for maker in ([vendor] if vendor in NODES else NODES)]  # unknown: any of them
    nodes = dict.fromkeys(node for maker in makers for node in NODES[maker])
    lines += [f"DeviceAllow={node} rw" for node in nodes]
    wanted = dict.fromkeys([*groups, *(group for maker in makers for group in GROUPS[maker] if group not in missing)])
    return [*lines, *([f"SupplementaryGroups={' '.join(wanted)}"] if wanted else [])]
