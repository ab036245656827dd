# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Can the GPUs of an instance be used now? One standard-library file, installed as `<root>/libexec/llama-gpu-ready`.

    llama-gpu-ready                        root, once a boot: make device nodes, wait for the GPUs that units name
    llama-gpu-ready --wait SECONDS ID...   before an instance starts, with its rights: wait for these GPUs

An id is `GPU-<uuid>`, `MIG-<uuid>` or `pci:<address>`. Without its GPU a server of the CUDA backend would serve from
the processor and say nothing. The first form never fails: one lost GPU must not keep the others from serving.
"""

from __future__ import annotations

import argparse
import glob
import os
import re
import stat
import subprocess
import sys
import time

NVIDIA, AMD, INTEL = "0x10de", "0x1002", "0x8086"
UNITS = "etc/systemd/system/llama-*.service"
UNIQUE = re.compile(r"GPU-[0-9a-f]{16}", re.A)  # of AMD's driver; NVIDIA's has dashes
NAMED = re.compile(r"^ExecStartPre=\S+/llama-gpu-ready --wait \d+ (.+)$", re.M)
BOOT_WAIT = 60.0


def problem(device: str, root: str = "/", listed: str | None = None) -> str:
    """Why a GPU cannot be used by whoever asks, in one sentence; empty when it can.

    :param root: the folder that holds `proc`, `sys` and `dev`.
    :param listed: what nvidia-smi lists, where that is known.
    """
    if UNIQUE.fullmatch(device):
        return _on_the_bus(device, _address_of(device, root), root)
    if device.startswith(("GPU-", "MIG-")):
        return _nvidia(device, root, _listed() if listed is None else listed)
    return _on_the_bus(device, device.partition(":")[2].lower(), root)


def _listed() -> str:
    """What answers NVIDIA's driver: the files in /proc still name a GPU that fell off the bus (Xid 79)."""
    return _output(["nvidia-smi", "-L"])


def _nvidia(device: str, root: str, listed: str) -> str:
    seen = _nvidia_gpus(root)
    if not seen:
        return f"{device} is lost: NVIDIA's driver lists no GPU."
    if listed and device not in listed:
        return f"{device} is lost: nvidia-smi says: {' '.join(listed.split())[:200]}"
    if device.startswith("MIG-") or any("?" in uuid for uuid in seen):
        return _closed(root, ["nvidiactl", "nvidia-uvm"])
    if device not in seen:
        return f"{device} is lost: NVIDIA's driver lists {', '.join(sorted(seen))}."
    return _closed(root, ["nvidiactl", "nvidia-uvm", f"nvidia{seen[device]}"])


def _nvidia_gpus(root: str) -> dict[str, str]:
    """UUID -> minor number of the device node, as the driver lists them (its README, "The /proc interface")."""
    found = {}
    for path in glob.glob(os.path.join(glob.escape(root), "proc/driver/nvidia/gpus/*/information")):
        said = dict(line.split(":", 1) for line in _read(path).splitlines() if ":" in line)
        found[said.get("GPU UUID", "GPU-????").strip()] = said.get("Device Minor", "0").strip()
    return found


def _address_of(device: str, root: str) -> str:
    """Where on the bus AMD's driver shows this unique id; empty when nowhere."""
    for path in glob.glob(os.path.join(glob.escape(root), "sys/bus/pci/devices/*/unique_id")):
        if _read(path).strip().lower().rpartition("x")[2] == device.partition("-")[2]:
            return os.path.basename(os.path.dirname(path)).lower()
    return ""


def _on_the_bus(device: str, address: str, root: str) -> str:
    folder = os.path.join(root, "sys/bus/pci/devices", address)
    if not re.fullmatch(r"[0-9a-f:.]+", address) or not os.path.isdir(folder):
        return f"{device} is lost: nothing is on the bus at {address or 'any address'}."
    vendor = _read(os.path.join(folder, "vendor")).strip()
    if vendor == NVIDIA:
        return _closed(root, ["nvidiactl", "nvidia-uvm"])
    nodes = [os.path.join("dri", os.path.basename(path)) for path in glob.glob(os.path.join(folder, "drm/renderD*"))]
    if not nodes:
        return f"{device} has no render node: its driver is not loaded."
    return _closed(root, [*(["kfd"] if vendor == AMD else []), *nodes])


def _closed(root: str, nodes: list[str]) -> str:
    """The first device node that the caller cannot open."""
    for name in nodes:
        path = os.path.join(root, "dev", name)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as exc:
            return f"The device node {path} cannot be opened: {exc.strerror}."
    return ""


def wait(devices: list[str], seconds: float, root: str = "/") -> str:
    """Wait until all of these GPUs can be used; returns the last problem, empty when there is none."""
    deadline, told = time.monotonic() + seconds, ""
    while True:
        listed = _listed() if any(device.startswith(("GPU-", "MIG-")) for device in devices) else ""
        found = next((text for text in (problem(device, root, listed) for device in devices) if text), "")
        if not found or time.monotonic() >= deadline:
            return found
        if found != told:
            sys.stderr.write(f"Waiting. {found}\n")
            sys.stderr.flush()
        told = found
        time.sleep(min(5.0, max(0.0, deadline - time.monotonic())))


def named(root: str = "/") -> list[str]:
    """The GPUs that the units of this host name."""
    found: dict[str, None] = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(root), UNITS))):
        for words in NAMED.findall(_read(path)):
            found.update(dict.fromkeys(words.split()))
    return list(found)


def make_nodes(root: str = "/") -> None:
    """Create the nodes of NVIDIA's driver, which a host without a display has nobody else to make."""
    _output(["nvidia-modprobe", "-u", "-c", "0"])
    major = re.search(r"^ *(\d+) nvidia-uvm$", _read(os.path.join(root, "proc/devices")), re.M)
    path = os.path.join(root, "dev/nvidia-uvm")
    if major and not os.path.exists(path):
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(int(major[1]), 0))
        os.chmod(path, 0o666)


def _output(argv: list[str]) -> str:
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function  # no AnsibleModule is anywhere near
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Wait for GPUs.")
    parser.add_argument("--wait", type=float)
    parser.add_argument("ids", nargs="*")
    wanted = parser.parse_args()
    if wanted.wait is not None:
        found = wait(wanted.ids, wanted.wait)
        if found:
            sys.stderr.write(f"error: {found}\n")
        return int(bool(found))
    devices = named()
    if any(device.startswith(("GPU-", "MIG-")) for device in devices):
        make_nodes()
    found = wait(devices, BOOT_WAIT)
    if found:
        sys.stderr.write(f"error: {found}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
