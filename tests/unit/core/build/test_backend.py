# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import backend
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host.gpu import BusGPU, Seen

NVIDIA, AMD, INTEL = "0x10de", "0x1002", "0x8086"
H200 = {"id": "GPU-a", "name": "H200", "backend": "cuda", "total": 1 << 37}
W7900 = {"id": "GPU-b", "name": "W7900", "backend": "hip", "total": 1 << 35}
ARC = {"id": "pci:1", "name": "Arc", "backend": "vulkan", "total": 1 << 34}


def seen(*devices, bus=(), reason=None):
    return Seen(list(bus), list(devices), [], None, None, reason)


def card(vendor, driver):
    return BusGPU("0000:3b:00.0", vendor, driver, None)


@pytest.mark.parametrize("asked", ["cpu", "cuda", "hip", "vulkan"])
def test_what_is_asked_for_is_built(asked):
    assert backend.choose(asked, seen(H200), "cuda").backend == asked


@pytest.mark.parametrize(
    ("found", "chosen", "why"),
    [
        (seen(reason="No GPU is on the PCI bus."), "cpu", "No GPU is on the PCI bus."),
        (seen(H200, H200), "cuda", "This host has 2 GPUs (H200, H200)."),
        (seen(W7900), "hip", "This host has 1 GPU (W7900)."),
        (seen(ARC), "vulkan", "Arc"),
        (seen(W7900, H200, reason="x: y."), "cuda", "(H200). x: y."),
        (seen(bus=[card(AMD, "amdgpu")], reason="it only draws the desktop"), "cpu", "only draws"),
        (seen(bus=[card(NVIDIA, "vfio-pci")], reason="handed to a virtual machine"), "cpu", "virtual machine"),
    ],
)
def test_auto_follows_the_gpus_and_says_why(found, chosen, why):
    choice = backend.choose("auto", found)
    assert choice.backend == chosen
    assert why in choice.reason


@pytest.mark.parametrize(
    "silent", [card(NVIDIA, "nvidia"), card(NVIDIA, "nouveau"), card(AMD, None), card(INTEL, None)]
)
def test_a_gpu_that_no_driver_answers_for_makes_no_cpu_host(silent):
    with pytest.raises(InvalidInput, match="no driver answers.*cpu to leave the GPU unused"):
        backend.choose("auto", seen(bus=[silent]))
    assert backend.choose("auto", seen(bus=[silent]), expected=0).backend == "cpu"


@pytest.mark.parametrize("active", ["cuda", "hip", "vulkan"])
def test_a_host_with_a_gpu_build_does_not_become_a_cpu_host_by_itself(active):
    with pytest.raises(InvalidInput, match=f"active build is one for {active}.*llama_gpus: 0"):
        backend.choose("auto", seen(), active)
    assert backend.choose("auto", seen(), active, expected=0).backend == "cpu"
    assert backend.choose("cpu", seen(), active).backend == "cpu"
    assert backend.choose("auto", seen(), "cpu").backend == "cpu"


def test_there_are_no_other_backends():
    with pytest.raises(InvalidInput, match="no backend 'metal'.*auto, cpu, cuda, hip, vulkan"):
        backend.choose("metal", seen())
