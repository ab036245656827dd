# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a GPU can be used, as /proc, /sys and /dev say."""

from __future__ import annotations

import os
import threading

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import gpuready, lost

GPU, OTHER = "GPU-1b9d0c39-0f4f-e8a5-4f5c-000000000001", "GPU-1b9d0c39-0f4f-e8a5-4f5c-000000000002"
INFORMATION = "Model: \t\t NVIDIA RTX A6000\nIRQ:   \t\t 170\nGPU UUID: \t {uuid}\nDevice Minor: \t {minor}\n"


def put(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


SMI = "GPU 0: NVIDIA RTX A6000 (UUID: {0})\nUnable to determine the device handle for gpu 0000:02:00.0: GPU is lost.\n"
KERNEL = """NVRM: Xid (PCI:0000:01:00): 31, pid=812, name=llama-server, MMU Fault
NVRM: Xid (PCI:0000:02:00): 79, pid=812, name=llama-server, GPU has fallen off the bus.
"""
UNIQUE = "GPU-5d7f3a9c01e2b846"


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """`smi(text)`: an nvidia-smi that says this; until then this host has none."""
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")

    def put_it(text):
        put(tmp_path / "bin/nvidia-smi", f"#!/bin/sh\ncat <<'END'\n{text}END\nexit 15\n")
        (tmp_path / "bin/nvidia-smi").chmod(0o755)

    return put_it


@pytest.fixture
def host(tmp_path, smi):
    """Two NVIDIA GPUs, an AMD one and an Intel one."""
    put(tmp_path / "sys/bus/pci/devices/0000:0a:00.0/unique_id", "5d7f3a9c01e2b846\n")
    for minor, uuid in enumerate((GPU, OTHER)):
        folder = tmp_path / f"proc/driver/nvidia/gpus/0000:0{minor + 1}:00.0"
        put(folder / "information", INFORMATION.format(uuid=uuid, minor=minor))
    for address, vendor, node in (("0000:0a:00.0", "0x1002", "renderD128"), ("0000:0b:00.0", "0x8086", "renderD129")):
        put(tmp_path / "sys/bus/pci/devices" / address / "vendor", vendor + "\n")
        (tmp_path / "sys/bus/pci/devices" / address / "drm" / node).mkdir(parents=True)
        put(tmp_path / "dev/dri" / node)
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "kfd"):
        put(tmp_path / "dev" / name)
    return tmp_path


@pytest.mark.parametrize("device", [GPU, OTHER, "pci:0000:0a:00.0", UNIQUE, "pci:0000:0B:00.0"])
def test_what_is_there_can_be_used(host, device):
    assert gpuready.problem(device, str(host)) == ""


@pytest.mark.parametrize(
    ("device", "broken", "said"),
    [
        (GPU, "dev/nvidia0", "The device node {}/dev/nvidia0 cannot be opened: No such file or directory."),
        (OTHER, "dev/nvidia-uvm", "The device node {}/dev/nvidia-uvm cannot be opened: No such file or directory."),
        ("pci:0000:0a:00.0", "dev/kfd", "The device node {}/dev/kfd cannot be opened: No such file or directory."),
        ("pci:0000:0b:00.0", "sys/bus/pci/devices/0000:0b:00.0/drm/renderD129", "has no render node"),
        (GPU, "proc/driver/nvidia/gpus/0000:01:00.0/information", f"{GPU} is lost: NVIDIA's driver lists {OTHER}."),
    ],
)
def test_what_is_missing_is_named(host, device, broken, said):
    path = host / broken
    (path.rmdir if path.is_dir() else path.unlink)()
    assert said.format(host) in gpuready.problem(device, str(host))


def test_a_host_without_driver_or_card_says_so(tmp_path):
    assert "lists no GPU" in gpuready.problem(GPU, str(tmp_path))
    assert "nothing is on the bus at 0000:0a:00.0" in gpuready.problem("pci:0000:0a:00.0", str(tmp_path))
    assert "nothing is on the bus" in gpuready.problem("pci:../../etc", str(tmp_path))
    assert gpuready.problem(UNIQUE, str(tmp_path)) == f"{UNIQUE} is lost: nothing is on the bus at any address."


def test_a_gpu_that_fell_off_the_bus_is_lost_though_the_driver_still_lists_it(host, smi):
    smi(SMI.format(GPU))
    assert gpuready.problem(GPU, str(host)) == ""
    assert "is lost: nvidia-smi says" in gpuready.problem(OTHER, str(host))
    assert "GPU is lost" in gpuready.wait([GPU, OTHER], 0.0, str(host))


def test_a_lost_gpu_is_told_from_one_that_is_only_not_ready(host):
    root = str(host)
    assert lost.look([GPU, OTHER], lambda: KERNEL, root) == (
        f"{OTHER} is lost: the kernel reports Xid 79, it has fallen off the bus."
    )
    assert lost.look([GPU, UNIQUE, "pci:0000:0b:00.0"], lambda: KERNEL, root) == ""  # 31 is a fault of a program
    (host / "dev/nvidia0").unlink()
    assert lost.look([GPU], lambda: "", root) == ""
    (host / "proc/driver/nvidia/gpus/0000:01:00.0/information").unlink()
    assert f"{GPU} is lost" in lost.look([GPU], lambda: "", root)


def test_waiting_ends_when_the_last_one_is_there(host):
    node = host / "dev/nvidia1"
    node.unlink()
    assert "nvidia1" in gpuready.wait([GPU, OTHER], 0.0, str(host))
    timer = threading.Timer(0.2, node.touch)
    timer.start()
    assert gpuready.wait([GPU, OTHER], 0.5, str(host)) == ""


def test_the_gpus_of_all_units_are_waited_for(host):
    for name, devices in (("a", GPU), ("b", f"{OTHER} {GPU}")):
        put(
            host / f"etc/systemd/system/llama-{name}.service",
            f"[Service]\nExecStartPre=/opt/llama/libexec/llama-gpu-ready --wait 120 {devices}\n",
        )
    assert gpuready.named(str(host)) == [GPU, OTHER]


def test_a_missing_uvm_node_is_made_with_the_number_the_driver_got(host):
    (host / "dev/nvidia-uvm").unlink()
    put(host / "proc/devices", "Character devices:\n195 nvidia\n509 nvidia-uvm\n\nBlock devices:\n")
    if os.geteuid():  # it was tried: only root may
        with pytest.raises(PermissionError):
            gpuready.make_nodes(str(host))
        return
    gpuready.make_nodes(str(host))
    assert os.major(os.stat(host / "dev/nvidia-uvm").st_rdev) == 509
