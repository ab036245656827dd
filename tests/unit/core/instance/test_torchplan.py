# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of Transformers models: where they lie, what they take, and what their units may see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput, Untrusted
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import (
    definition,
    launch,
    planning,
    residency,
    torchplan,
    unit,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.record import Record
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance.supervisor import Supervisor
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree

GIB, MIB = 1 << 30, 1 << 20
CARD = {"id": "GPU-a", "backend": "cuda", "name": "L4", "vendor": "nvidia", "pci": "0000:01:00.0",
        "total": 24 * GIB, "free": 24 * GIB}  # fmt: skip


def safetensors(path: Path, tensors: dict) -> str:
    head = json.dumps({"__metadata__": {"format": "pt"}, **tensors}).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head)
    return str(path)


class Host:
    """A host with the service, a model of 100 million weights in 16 bits, and perhaps a card."""

    def __init__(self, folder: Path, plant) -> None:
        self.root = plant({"proc/meminfo": f"MemTotal: {64 << 20} kB\nMemAvailable: {64 << 20} kB\n"})
        self.tree = Tree(str(folder / "root"), "user")
        self.manager, self.cards = Supervisor(self.tree), [CARD]
        service = folder / "root" / "reranker" / "0123456789ab"
        service.mkdir(parents=True)
        (service / ".complete").touch()
        (service.parent / "current").symlink_to(service.name)
        self.model = folder / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text(json.dumps({"hidden_size": 768, "intermediate_size": 3072}))
        safetensors(self.model / "model.safetensors", {"a": {"dtype": "BF16", "shape": [100_000, 1000]}})

    def plan(self, **fields) -> tuple[Record, unit.Launch]:
        given = {"name": "rank", "kind": "transformers", "model": str(self.model), "port": 8080, **fields}
        item = definition.read(given)
        facts = {"devices": self.cards, "driver": "580.1"}
        plans = planning.Plans(self.tree, self.manager, [item.name], lambda: facts, self.root)
        parts = launch.look(self.tree, self.manager, item)
        plans.ask(item, parts.build, parts.files, [])
        records = plans.records(item)
        return records["rank"], launch.resolve(self.tree, self.manager, item, parts, records)


@pytest.fixture
def host(tmp_path, plant):
    return Host(tmp_path, plant)


def test_on_the_cpu_weights_are_floats_of_32_bits_in_the_memory_of_the_host(host):
    found, made = host.plan()
    assert (found.devices, found.host["components"]["mapped_weights"]) == ((), 400_000_000)
    assert made.devices == () and "--device cpu" in made.command.line
    assert "PrivateDevices=yes" in unit.render(made, "system")
    assert host.plan(options={"dtype": "bfloat16"})[0].host["components"]["mapped_weights"] == 200_000_000


def test_on_a_gpu_its_unit_sees_the_card_that_it_is_planned_on(host):
    found, made = host.plan(devices=["GPU-a"])
    [row] = found.devices
    assert row["components"]["weights"] == 200_000_000 and found.needed == 0
    assert (made.devices, made.vendors) == (("GPU-a",), ("nvidia",))
    text = unit.render(made, "system")
    assert "DeviceAllow=char-nvidia" in text and "PrivateDevices=yes" not in text and "llama-gpu-ready" in text
    assert "--device cuda" in text and "CUDA_VISIBLE_DEVICES=GPU-a" in text
    with pytest.raises(InvalidInput, match="no device GPU-b"):
        host.plan(devices=["GPU-b"])


def test_what_does_not_fit_is_refused_and_can_be_forced(host):
    host.cards = [{**CARD, "free": GIB}]
    with pytest.raises(planning.DoesNotFit, match="of GPU-a, where 1.0 GiB are left"):
        host.plan(devices=["GPU-a"])
    assert host.plan(devices=["GPU-a"], plan={"force": True})[0].forced
    assert not host.plan()[0].forced


def test_residency_is_read_from_the_lines_of_the_service(host):
    on_gpu, on_cpu = (host.plan(**fields)[0].document() for fields in ({"devices": ["GPU-a"]}, {}))
    gpu, cpu = "CUDA0 model buffer size = 191.20 MiB", "CPU model buffer size = 381.47 MiB"
    assert residency.judge(on_gpu, [gpu]).verdict == residency.VERIFIED
    assert residency.judge(on_cpu, [cpu]).verdict == residency.VERIFIED
    assert residency.judge(on_gpu, [cpu]).verdict == residency.MISMATCH
    assert residency.judge(on_cpu, [gpu]).verdict == residency.MISMATCH
    assert residency.judge(on_cpu, []).verdict == residency.UNKNOWN


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff" * 8, (1 << 40).to_bytes(8, "little") + b"{}", (9).to_bytes(8, "little") + b"[1, 2, 3]",
     (4).to_bytes(8, "little") + b"nul!"],
)  # fmt: skip
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(Untrusted, match="model.safetensors"):
        torchplan.weights_of(str(path), "auto", True)


@pytest.mark.parametrize("shape", [None, [-1], ["2"], [2.5]])
def test_a_tensor_without_a_sound_shape_is_refused(tmp_path, shape):
    path = safetensors(tmp_path / "model.safetensors", {"a": {"dtype": "F32", "shape": shape}})
    with pytest.raises(Untrusted, match="without a shape"):
        torchplan.weights_of(path, "auto", False)
