# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.host import gpu, nvml

SOURCE = Path(__file__).parents[3] / "fixtures" / "nvml.c"
GIB = 1 << 30
CORE = "ansible_collections.llamaops.llama_cpp.plugins.module_utils.core"
# the real pynvml keeps the library it loaded, so each reading is a process of its own
READ = f"""
import json, sys
from {CORE} import errors
from {CORE}.host import gpu
try:
    print(json.dumps({{"facts": gpu.read(sys.argv[1], json.loads(sys.argv[2]))}}))
except errors.LlamaOpsError as exc:
    print(json.dumps({{"error": type(exc).__name__, "text": str(exc), "details": exc.details}}))
"""
HOST = {"proc/meminfo": "MemTotal: 1024 kB\nMemFree: 512 kB\nMemAvailable: 512 kB\n"}


def card(address: str, vendor: str = "0x10de", kind: str = "0x030200", driver: str | None = "nvidia", node: int = -1):
    """A device on the PCI bus, as sysfs shows it."""
    folder = f"sys/bus/pci/devices/{address}"
    files = {f"{folder}/vendor": f"{vendor}\n", f"{folder}/class": f"{kind}\n", f"{folder}/numa_node": f"{node}\n"}
    return {**files, f"{folder}/driver": f"-> ../../../bus/pci/drivers/{driver}"} if driver else files


FIRST, SECOND = "0000:3b:00.0", "0000:d8:00.0"
BOTH = {**HOST, **card(FIRST, node=0), **card(SECOND, node=1)}


@pytest.fixture(scope="session")
def driver(tmp_path_factory) -> str:
    """The folder of a stand-in for libnvidia-ml.so.1."""
    folder = tmp_path_factory.mktemp("driver")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", SOURCE], check=True)
    return str(folder)


def read(root: str, libraries: str = "", expected: int | None = None, **settings: str):
    env = {**os.environ, "LD_LIBRARY_PATH": libraries, **settings}
    command = [sys.executable, "-c", READ, root, json.dumps(expected)]
    answer = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return json.loads(answer.stdout)


def test_two_devices_and_unsupported_fields(plant, driver):
    facts = read(plant(BOTH), driver)["facts"]
    assert (facts["schema"], facts["driver"], facts["cuda"], facts["reason"]) == (1, "580.65.06", "13.1", None)
    full, small = facts["devices"]
    assert full == {
        "id": "GPU-aaaaaaaa-0000-0000-0000-000000000000",
        "vendor": "nvidia",
        "backend": "cuda",
        "index": 0,
        "name": "Fake H200",
        "pci": FIRST,
        "minor": 0,
        "serial": "1650123456789",
        "total": 141 * GIB,
        "free": 140 * GIB,
        "used": GIB,
        "reserved": GIB // 2,
        "unified": False,
        "compute_capability": "9.0",
        "numa": 0,
        "memory_numa": 4,
        "mig": False,
        "mig_devices": [],
        "pcie": {"generation": 1, "generation_max": 5, "width": 16, "width_max": 16},
        "nvlink": None,
        "ecc": True,
        "remapped_rows": {"correctable": 3, "uncorrectable": 0, "pending": True, "failure": False},
        "persistence": True,
        "display": False,
        "compute_mode": "exclusive_process",
        "virtualization": "passthrough",
        "addressing": "ats",
        "power_limit_watts": 700.0,
        "power_enforced_watts": 600.0,
        "power_range_watts": {"min": 200.0, "max": 700.0},
        "temperature_celsius": 41,
        "utilization_percent": {"gpu": 7, "memory": 3},
        "processes": [{"pid": 4242, "kind": "compute", "used": GIB, "command": None, "unit": None}],
        "reasons": {"processes.graphics": "the driver is older than this question"},
    }
    unknown = (
        "serial", "ecc", "remapped_rows", "persistence", "display", "compute_mode", "power_limit_watts",
        "temperature_celsius", "utilization_percent", "processes",
    )  # fmt: skip
    assert {name: small[name] for name in unknown} == dict.fromkeys(unknown)
    assert small["reasons"]["ecc"] == "not supported by this GPU"
    assert set(unknown) - {"processes"} <= set(small["reasons"])
    assert (small["compute_capability"], small["numa"], small["total"]) == ("8.0", 1, 24 * GIB)


def test_an_older_driver_tells_the_memory_by_the_older_structure(plant, driver):
    full = read(plant(BOTH), driver, FAKE_NVML_OLD="1")["facts"]["devices"][0]
    assert (full["total"], full["free"], full["used"], full["reserved"]) == (141 * GIB, 140 * GIB, GIB, None)
    assert full["addressing"] is None and full["reasons"]["addressing"] == "the driver is older than this question"
    assert "total" not in full["reasons"]


def test_every_process_is_counted_and_hidden_memory_is_none(plant, driver):
    for count in (0, 12):
        listed = read(plant(HOST), driver, FAKE_NVML_PROCESSES=str(count))["facts"]["devices"][0]["processes"]
        assert [entry["pid"] for entry in listed] == list(range(4242, 4242 + count))
    assert [entry["used"] for entry in listed[:3]] == [GIB, None, GIB]


def test_a_gpu_without_memory_of_its_own_has_that_of_the_host(plant, driver):
    # a GB10 answers so: MemTotal and MemAvailable of a DGX Spark, XuehaiPan/nvitop#208
    meminfo = "MemTotal: 127600748 kB\nMemFree: 100 kB\nMemAvailable: 118566368 kB\n"
    shared = read(plant({"proc/meminfo": meminfo}), driver, FAKE_NVML_UNIFIED="1")["facts"]["devices"][0]
    assert (shared["unified"], shared["total"], shared["free"]) == (True, 127600748 * 1024, 118566368 * 1024)
    assert shared["used"] == (127600748 - 118566368) * 1024


LINKS = {
    "none": ({}, 0, None),
    "bridge": ({"FAKE_NVML_LINKS": "4"}, 4, {"active": 4, "version": "4.0", "switch": False, "peers": {SECOND: 4}}),
    "switch": ({"FAKE_NVML_SWITCH": "18"}, 18, {"active": 18, "version": "4.0", "switch": True, "peers": {}}),
}


@pytest.mark.parametrize(("settings", "count", "seen"), LINKS.values(), ids=LINKS.keys())
def test_how_gpus_are_connected(plant, driver, settings, count, seen):
    facts = read(plant(BOTH), driver, **settings)["facts"]
    ids = [device["id"] for device in facts["devices"]]
    assert facts["topology"] == [{"devices": ids, "ancestor": "system", "p2p": False, "links": count}]
    assert facts["devices"][0]["nvlink"] == seen


def test_mig_devices_have_ids_of_their_own(plant, driver):
    parent = read(plant(BOTH), driver)["facts"]["devices"][1]
    assert parent["mig"] is True
    assert parent["mig_devices"] == [
        {
            "id": "MIG-cccccccc-0000-0000-0000-000000000000",
            "name": "Fake A30 MIG 1g.6gb",
            "total": 6 * GIB,
            "free": 6 * GIB,
            "used": 0,
            "reserved": 0,
            "unified": False,
            "gpu_instance": 5,
            "compute_instance": 0,
            "multiprocessors": 14,
            "slices": 1,
            "processes": [],
            "reasons": {"processes.graphics": "the driver is older than this question"},
        }
    ]


REFUSALS = {
    "no permission": ("4", "/dev/nvidiactl"),
    "module not loaded": ("9", "modprobe nvidia"),
    "driver updated": ("18", "reboot the host"),
    "anything else": ("999", "dmesg"),
}


@pytest.mark.parametrize(("code", "remedy"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_visible_gpu_whose_driver_refuses_is_an_error(plant, driver, code, remedy):
    answer = read(plant(BOTH), driver, FAKE_NVML_INIT=code)
    assert answer["error"] == "DriverSilent"
    assert answer["details"] == {"nvml_error": int(code)}
    assert FIRST in answer["text"] and SECOND in answer["text"] and remedy in answer["text"]


def test_a_visible_gpu_without_driver_library_is_an_error(plant):
    answer = read(plant({**HOST, **card(FIRST, driver=None)}))
    assert answer["error"] == "DriverSilent"
    assert "libnvidia-ml.so.1" in answer["text"] and "kernel driver: none" in answer["text"]


def test_nouveau_is_named(plant):
    assert "blocks nouveau" in read(plant({**HOST, **card(FIRST, driver="nouveau")}))["text"]


@pytest.fixture
def no_pynvml(tmp_path_factory) -> str:
    """A PYTHONPATH with which pynvml cannot be imported."""
    folder = tmp_path_factory.mktemp("blocked")
    (folder / "pynvml.py").write_text("raise ImportError\n")
    return f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"


def test_a_visible_gpu_without_python_library_is_an_error(plant, no_pynvml):
    answer = read(plant({**HOST, **card(FIRST)}), PYTHONPATH=no_pynvml)
    assert answer["error"] == "MissingLibrary" and "pip install nvidia-ml-py" in answer["text"]


def test_a_host_without_gpu_needs_no_python_library(plant, no_pynvml):
    assert read(plant(HOST), PYTHONPATH=no_pynvml)["facts"]["devices"] == []


def test_a_lost_gpu_is_an_error(plant, driver):
    answer = read(plant(BOTH), driver, FAKE_NVML_LOST="1")
    assert answer["error"] == "DriverSilent" and "GPU is lost" in answer["text"]


def test_a_gpu_that_the_driver_does_not_list_is_an_error(plant, driver):
    answer = read(plant(BOTH), driver, FAKE_NVML_COUNT="1")
    assert answer["error"] == "DriverSilent" and SECOND in answer["text"]


def test_a_container_sees_gpus_that_were_not_given_to_it(plant, driver):
    facts = read(plant({**BOTH, ".dockerenv": ""}), driver, FAKE_NVML_COUNT="1")["facts"]
    assert [device["pci"] for device in facts["devices"]] == [FIRST]
    assert f"NVIDIA GPU {SECOND}" in facts["reason"]


def test_an_honest_empty_list(plant):
    bridge = card("0000:00:00.0", vendor="0x10de", kind="0x068000")
    facts = read(plant({**HOST, **bridge}))["facts"]
    assert (facts["devices"], facts["driver"], facts["cuda"]) == ([], None, None)
    assert facts["reason"] == "No GPU is on the PCI bus."


def test_driver_installed_on_a_host_without_gpu(plant, driver):
    facts = read(plant(HOST), driver, FAKE_NVML_INIT="9")["facts"]
    assert facts["devices"] == [] and "Driver Not Loaded" in facts["reason"]


OTHERS = {
    "AMD": (card("0000:03:00.0", "0x1002", "0x030000", "amdgpu"), "AMD GPU 0000:03:00.0 (kernel driver: amdgpu)"),
    "AMD Instinct": (card("0000:03:00.0", "0x1002", "0x120000", None), "AMD GPU 0000:03:00.0 (kernel driver: none)"),
    "Intel": (card("0000:00:02.0", "0x8086", "0x030000", "i915"), "Intel GPU 0000:00:02.0 (kernel driver: i915)"),
    "passed through": (card(FIRST, driver="vfio-pci"), "handed to a virtual machine"),
}


@pytest.mark.parametrize(("device", "said"), OTHERS.values(), ids=OTHERS.keys())
def test_gpus_that_are_not_read_stand_in_the_reason(plant, device, said):
    facts = read(plant({**HOST, **device}))["facts"]
    assert facts["devices"] == [] and said in facts["reason"]


def test_expected_number(plant, driver):
    root = plant(BOTH)
    assert len(read(root, driver, expected=2)["facts"]["devices"]) == 2
    answer = read(root, driver, expected=3)
    assert answer["error"] == "TooFewGPUs" and answer["details"] == {"expected": 3, "found": 2}
    assert "2 of 3 expected GPUs" in answer["text"]


def test_a_stated_number_decides_about_a_gpu_the_driver_does_not_list(plant, driver):
    facts = read(plant(BOTH), driver, expected=1, FAKE_NVML_COUNT="1")["facts"]
    assert len(facts["devices"]) == 1 and SECOND in facts["reason"]


def test_a_host_that_is_said_to_have_no_gpu_may_have_a_silent_one(plant, driver):
    facts = read(plant(BOTH), driver, expected=0, FAKE_NVML_INIT="18")["facts"]
    assert facts["devices"] == [] and "version mismatch" in facts["reason"] and FIRST in facts["reason"]
    assert read(plant({}), driver, expected=1, FAKE_NVML_INIT="18")["error"] == "DriverSilent"


@pytest.mark.parametrize(
    ("bus_id", "address"),
    [
        ("00000000:3B:00.0", "0000:3b:00.0"),
        ("00010000:01:00.0", "10000:01:00.0"),
        ("0000:AF:1F.7", "0000:af:1f.7"),
        ("garbage", None),
        ("", None),
    ],
)
def test_pci_address(bus_id, address):
    assert nvml.pci_address(bus_id) == address


def test_visible(plant):
    assert not gpu.nvidia_visible(plant(card("0000:00:02.0", "0x8086", "0x030000")))
    assert gpu.nvidia_visible(plant(card(FIRST)))
