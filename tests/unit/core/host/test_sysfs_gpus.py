# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPUs of AMD and Intel from trees below /sys; the values are those that people posted from real machines."""

from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host import amd, drm, gpu, listed
from test_gpu import HOST, card

MIB, GIB = 1 << 20, 1 << 30
XTX, SECOND_XTX, HALO, ARC = "0000:09:00.0", "0000:0c:00.0", "0000:c3:00.0", "0000:03:00.0"


def below(folder: str, files: dict[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text + "\n" for name, text in files.items()}


def kfd(number: int, address: str, gfx: int, simds: int, minor: int) -> dict[str, str]:
    bus = int(address.split(":")[1], 16)
    return below(
        f"sys/class/kfd/kfd/topology/nodes/{number}",
        {
            "gpu_id": str(1000 + number),
            "properties": f"cpu_cores_count 0\nsimd_count {simds}\ngfx_target_version {gfx}\nlocation_id {bus << 8}\n"
            f"domain 0\ndrm_render_minor {minor}",
        },
    )


def radeon(address: str, node: int, unique: str, used: int) -> dict[str, str]:
    """A Radeon RX 7900 XTX (chip 0x744c, revision c8, 96 compute units of two SIMDs: ollama#3158)."""
    files = {
        "device": "0x744c",
        "revision": "0xc8",
        "mem_info_vram_total": "25753026560",
        "mem_info_vram_used": str(used),
        "mem_info_gtt_total": "33604997120",
        "mem_info_gtt_used": "20480000",
        "unique_id": unique,
        "current_link_speed": "2.5 GT/s PCIe",
        "max_link_speed": "16.0 GT/s PCIe",
        "current_link_width": "16",
        "max_link_width": "16",
        "gpu_busy_percent": "17",
        "hwmon/hwmon3/power1_cap": "339000000",
    }
    folder = f"sys/bus/pci/devices/{address}"
    return {
        **card(address, "0x1002", "0x030000", "amdgpu", node=0),
        **below(folder, files),
        **kfd(node, address, 110000, 192, 127 + node),
    }


IDS = {"usr/share/libdrm/amdgpu.ids": "1.0.0\n744C,\tC8,\tAMD Radeon RX 7900 XTX\n744C,\tCC,\tAMD Radeon RX 7900 XT\n"}


def test_a_radeon(plant):
    processes = {
        "sys/class/kfd/kfd/proc/4711/vram_1001": "5368709120\n",
        "proc/4711/fd/5": "-> /dev/dri/renderD128",
        "proc/4711/fdinfo/5": f"drm-driver:\tamdgpu\ndrm-client-id:\t3\ndrm-pdev:\t{XTX}\ndrm-memory-vram:\t1024 KiB\n",
        "proc/4711/comm": "llama-server\n",
        "proc/4711/cgroup": "0::/system.slice/llama-chat.service\n",
        "proc/900/fd/7": "-> /dev/dri/card1",
        "proc/900/fdinfo/7": f"drm-driver:\tamdgpu\ndrm-client-id:\t4\ndrm-pdev:\t{XTX}\ndrm-resident-vram:\t64 MiB\n"
        "drm-total-vram:\t90 MiB\n",
    }
    tree = {**HOST, **IDS, **processes, **radeon(XTX, 1, "398a3f843a146602", 5500 * MIB)}
    facts = gpu.read(plant(tree))
    (found,) = facts["devices"]
    assert found == {
        "id": "GPU-398a3f843a146602",
        "name": "AMD Radeon RX 7900 XTX",
        "vendor": "amd",
        "backend": "hip",
        "index": None,
        "pci": XTX,
        "numa": 0,
        "total": 25753026560,
        "used": 5500 * MIB,
        "free": 25753026560 - 5500 * MIB,
        "gtt": {"total": 33604997120, "used": 20480000},
        "unified": False,
        "compute_capability": "gfx1100",
        "simds": 192,
        "render": 128,
        "kfd_node": 1,
        "mig": None,
        "mig_devices": [],
        "pcie": {"generation": 1, "generation_max": 4, "width": 16, "width_max": 16},
        "power_limit_watts": 339.0,
        "utilization_percent": {"gpu": 17, "memory": None},
        "processes": [
            {"pid": 4711, "kind": "compute", "used": 5 * GIB, "command": "llama-server", "unit": "llama-chat.service"},
            {"pid": 900, "kind": "graphics", "used": 64 * MIB, "command": None, "unit": None},
        ],
        "reasons": {},
    }
    assert facts["reason"] is None


def test_links_between_gpus_of_amd(plant):
    links = below(
        "sys/class/kfd/kfd/topology/nodes/1/io_links",
        {
            "0/properties": "type 2\nnode_from 1\nnode_to 0\nweight 20",
            "1/properties": "type 11\nnode_from 1\nnode_to 2\nweight 15",
        },
    )
    both = {**radeon(XTX, 1, "398a3f843a146602", 0), **radeon(SECOND_XTX, 2, "b85e402c0fb3757f", 0)}
    facts = gpu.read(plant({**HOST, **both, **links}))
    pair = ["GPU-398a3f843a146602", "GPU-b85e402c0fb3757f"]
    assert facts["topology"] == [{"devices": pair, "ancestor": None, "p2p": True, "links": 1}]


def test_a_graphics_core_with_the_memory_of_its_host(plant):
    # Ryzen AI MAX+ 395: 512 MiB set aside, 120 GiB the driver may take (chip 0x1586, magnitudedev/magnitude#44)
    files = {
        "device": "0x1586",
        "revision": "0xd1",
        "mem_info_vram_total": str(512 * MIB),
        "mem_info_vram_used": str(455 * MIB),
        "mem_info_gtt_total": str(120 * GIB),
        "mem_info_gtt_used": str(2 * GIB),
    }
    folder = f"sys/bus/pci/devices/{HALO}"
    tree = {**card(HALO, "0x1002", "0x038000", "amdgpu"), **below(folder, files), **kfd(1, HALO, 110501, 80, 128)}
    meminfo = {"proc/meminfo": "MemTotal: 131000000 kB\nMemFree: 1 kB\nMemAvailable: 100000000 kB\n"}
    (found,) = gpu.read(plant({**tree, **meminfo}))["devices"]
    assert (found["id"], found["compute_capability"], found["unified"]) == (f"pci:{HALO}", "gfx1151", True)
    assert found["total"] == 120 * GIB + 512 * MIB
    assert found["free"] == 100000000 * 1024  # less than the driver's own limit
    assert found["name"] == "AMD GPU 0x1586 (gfx1151)"


def test_a_graphics_core_that_only_draws_is_left_out(plant):
    files = {"mem_info_vram_total": str(512 * MIB), "mem_info_vram_used": "0", "device": "0x164e"}
    tree = {
        **card("0000:10:00.0", "0x1002", "0x030000", "amdgpu"),
        **below("sys/bus/pci/devices/0000:10:00.0", files),
        **kfd(1, "0000:10:00.0", 100306, 4, 128),
    }
    facts = gpu.read(plant({**HOST, **tree}))
    assert facts["devices"] == [] and "only draws the desktop" in facts["reason"]


@pytest.mark.parametrize(
    ("number", "name"),
    [(90402, "gfx942"), (90010, "gfx90a"), (90012, "gfx90c"), (110000, "gfx1100"), (120001, "gfx1201"), (0, None)],
)
def test_names_of_chips(number, name):
    assert amd.gfx_version(number) == name


def test_a_gpu_of_intel_by_the_driver_xe(plant):
    # Arc B580: 0x300000000 bytes, ValveSoftware/steam-for-linux#12636
    folder = f"sys/bus/pci/devices/{ARC}"
    tree = {
        **card(ARC, "0x8086", "0x030000", "xe"),
        **below(folder, {"tile0/physical_vram_size_bytes": str(0x300000000), "device": "0xe20b"}),
        "proc/77/fd/9": "-> /dev/dri/renderD128",
        "proc/77/fdinfo/9": f"drm-driver:\txe\ndrm-client-id:\t12\ndrm-pdev:\t{ARC}\ndrm-total-vram0:\t4194304 KiB\n",
        "proc/77/fd/10": "-> /dev/dri/renderD128",
        "proc/77/fdinfo/10": f"drm-driver:\txe\ndrm-client-id:\t12\ndrm-pdev:\t{ARC}\ndrm-total-vram0:\t4194304 KiB\n",
    }
    (found,) = gpu.read(plant({**HOST, **tree}))["devices"]
    assert (found["id"], found["backend"], found["total"]) == (f"pci:{ARC}", "vulkan", 12 * GIB)
    assert (found["used"], found["free"]) == (4 * GIB, 8 * GIB)  # one client with two open files counts once
    assert found["processes"] == [{"pid": 77, "kind": "graphics", "used": 4 * GIB, "command": None, "unit": None}]


def test_a_gpu_of_intel_by_the_driver_i915(plant):
    folder = f"sys/bus/pci/devices/{ARC}"
    tree = {**card(ARC, "0x8086", "0x030000", "i915"), **below(folder, {"drm/card1/lmem_total_bytes": "8522825728"})}
    (found,) = gpu.read(plant({**HOST, **tree}))["devices"]
    assert (found["total"], found["free"]) == (8522825728, 8522825728)


@pytest.mark.parametrize(
    "text", ["", "drm-pdev\n", "drm-pdev:\t\n", "garbage: 1\n", f"drm-pdev: {ARC}\ndrm-total-vram0: x KiB\n"]
)
def test_files_of_processes_that_say_nothing(plant, text):
    clients = drm.clients(plant({"proc/5/fd/3": "-> /dev/dri/card0", "proc/5/fdinfo/3": text}))
    assert all(entry["used"] == 0 for entries in clients.values() for entry in entries)


def device(backend: str, **more: object) -> dict:
    return {
        "id": f"{backend}-{len(more)}",
        "backend": backend,
        "total": 24 * GIB,
        "unified": False,
        "mig": None,
        **more,
    }


def test_what_a_process_can_use():
    parts = [{"id": "MIG-1", "total": 6 * GIB, "free": 6 * GIB}]
    divided = device("cuda", id="GPU-d", mig=True, mig_devices=parts)
    shared = device("hip", unified=True)
    whole = device("cuda", id="GPU-w")
    assert [entry["id"] for entry in gpu.usable([divided, whole, shared, device("vulkan")])] == ["MIG-1", "GPU-w"]
    assert gpu.usable([divided])[0] | {"backend": "cuda", "parent": "GPU-d"} == gpu.usable([divided])[0]
    assert gpu.usable([shared]) == [shared]
    assert gpu.usable([device("cuda", total=None)]) == gpu.usable([]) == []


# --list-devices of llama.cpp: ggml-org/llama.cpp#23676 (the sizes), and the format of common/arg.cpp
LISTED = """Available devices:
  CUDA0: NVIDIA GeForce RTX 5090 (32110 MiB, 31590 MiB free)
  CUDA1: NVIDIA GeForce RTX 5090 (32110 MiB, 31510 MiB free)
  RPC0: 127.0.0.1:50052 (24105 MiB, 24105 MiB free)
"""


def test_the_list_of_a_build():
    seen = listed.parse(LISTED)
    assert [entry["name"] for entry in seen] == ["CUDA0", "CUDA1", "RPC0"]
    assert seen[0] == {
        "name": "CUDA0",
        "backend": "cuda",
        "description": "NVIDIA GeForce RTX 5090",
        "total": 32110 * MIB,
        "free": 31590 * MIB,
    }
    cards = [device("cuda", total=32607 * MIB), device("cuda", total=32607 * MIB)]
    assert listed.differences(cards, seen) == []
    assert "lists 2 cuda devices, the host has 1" in listed.differences(cards[:1], seen)[0]
    assert "another backend" in listed.differences(cards, listed.parse("Available devices:\n  (none)\n"))[0]
    assert "has 48.0 GiB" in listed.differences([cards[0], device("cuda", total=48 * GIB)], seen)[0]
    assert listed.differences([], seen) == []
