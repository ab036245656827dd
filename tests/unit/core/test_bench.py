# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import bench, benchdevices, benchresult
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import (
    Busy,
    CommandFailed,
    InvalidInput,
    Prerequisite,
    Untrusted,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.files import sha256_of, write_json
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import modelset
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree, ensure

RECORDED = Path(__file__).parents[2] / "fixtures" / "llama-bench.json"
BUILD = "0.5.0-a123456-cpu-01234567"
DEFAULTS = bench.read_parameters({})


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A root with an active build whose llama-bench prints a recorded result."""
    tree = Tree(str(tmp_path / "root"), "user")
    ensure(tree)
    os.makedirs(tree.path("builds", BUILD, "bin"))
    write_json(tree.path("builds", BUILD, "manifest.json"), {"schema": 1, "files": {"bin/llama-bench": {}}})
    os.symlink(f"builds/{BUILD}", tree.current)
    script(tree, f'echo "$@" > {tree.root}/asked; env > {tree.root}/environment; cat {RECORDED}')
    return tree


def script(tree: Tree, text: str) -> None:
    path = Path(tree.path("builds", BUILD, "bin", "llama-bench"))
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = str(tmp_path / "tiny.gguf")
    tinymodel.write(path)
    return path


def plan(tree: Tree, model: str, **more) -> bench.Plan:
    return bench.make_plan(tree, bench.Request(model, **more))


def test_defaults_are_explicit():
    assert DEFAULTS == {
        "n_prompt": [512],
        "n_gen": [128],
        "n_depth": [0],
        "repetitions": 5,
        "threads": None,
        "batch_size": None,
        "ubatch_size": None,
        "cache_type_k": None,
        "cache_type_v": None,
        "flash_attn": None,
        "gpu_layers": None,
        "n_cpu_moe": None,
    }


def test_command():
    tests = {
        "n_prompt": [64, 128],
        "n_gen": [],
        "n_depth": [0, 4096],
        "repetitions": 2,
        "threads": 8,
        "flash_attn": "on",
    }
    assert bench.compose("/b/llama-bench", "/m/a b.gguf", bench.read_parameters(tests), benchdevices.Devices()) == [
        "/b/llama-bench",
        *("--output", "json", "--model", "/m/a b.gguf", "--device", "none", "--n-gpu-layers", "0"),
        *("--n-prompt", "64,128", "--n-gen", "0", "--n-depth", "0,4096"),
        *("--repetitions", "2", "--threads", "8", "--flash-attn", "on"),
    ]


WRONG = {
    "unknown": ({"n_promt": [1]}, "n_prompt"),
    "nothing to measure": ({"n_prompt": [0], "n_gen": []}, "both empty"),
    "negative": ({"n_prompt": [-1]}, "n_prompt is -1"),
    "text": ({"n_gen": ["1,2"]}, "n_gen"),
    "true": ({"n_gen": [True]}, "n_gen"),
    "too many": ({"n_depth": [1 << 30]}, "n_depth"),
    "no repetitions": ({"repetitions": 0}, "repetitions"),
    "threads": ({"threads": 0}, "threads"),
    "cache type": ({"cache_type_k": "f16,q8_0"}, "q8_0"),
    "flash attention": ({"flash_attn": "maybe"}, "auto"),
}


@pytest.mark.parametrize(("tests", "said"), WRONG.values(), ids=WRONG.keys())
def test_tests_that_cannot_be_run(tests, said):
    with pytest.raises(InvalidInput, match=said):
        bench.read_parameters(tests)


def test_key_is_stable_and_depends_on_everything():
    first = bench.result_key("b", "m", ["cpu"], DEFAULTS)
    # results on disk are found by it: a change of this value makes every stored result unfindable
    assert first == "969c2ed751a4a90f1cf914f06c54ef7890afe2768b3e50f8943dbe8c3b3d31e9"
    backwards = dict(reversed(list(DEFAULTS.items())))
    assert bench.result_key("b", "m", ["cpu"], backwards) == first
    others = [
        bench.result_key("c", "m", ["cpu"], DEFAULTS),
        bench.result_key("b", "n", ["cpu"], DEFAULTS),
        bench.result_key("b", "m", ["gpu"], DEFAULTS),
        bench.result_key("b", "m", ["cpu"], {**DEFAULTS, "threads": 4}),
    ]
    assert len({first, *others}) == 5


def test_plan_by_path(tree, model):
    made = plan(tree, model, devices=("cpu",))
    assert (made.build_id, made.devices.ids, made.argv[0]) == (
        BUILD,
        ("cpu",),
        tree.path("builds", BUILD, "bin/llama-bench"),
    )
    assert made.model["sha256"] == sha256_of(model)
    assert made.key == plan(tree, model, build=BUILD, devices=(), tests={"repetitions": 5}).key


CARDS = [
    {"id": f"GPU-{letter}", "backend": "cuda", "pci": f"0000:0{number}:00.0", "name": "L4", "total": 24 << 30,
     "processes": held}
    for number, (letter, held) in enumerate([("a", []), ("b", [{"pid": 7, "command": "train", "unit": None}])])
]  # fmt: skip


@pytest.fixture
def gpu_build(tree):
    manifest = {"schema": 1, "files": {"bin/llama-bench": {}}, "recipe": {"backend": "cuda"}}
    write_json(tree.path("builds", BUILD, "manifest.json"), manifest)


def on_cards(tree, model, *wanted, cards=CARDS, **tests) -> bench.Plan:
    asked = bench.Request(model, devices=wanted, tests=tests)
    return bench.make_plan(tree, asked, lambda: {"devices": cards})


@pytest.mark.usefixtures("gpu_build")
def test_a_gpu_build_measures_the_cards_that_are_asked_for_by_their_ids(tree, model):
    every, one = on_cards(tree, model), on_cards(tree, model, "pci:0000:01:00.0", n_cpu_moe=3)
    assert every.devices.ids == ("GPU-a", "GPU-b")
    assert every.argv[5:7] == ["--device", "CUDA0/CUDA1"] and "--n-gpu-layers" not in every.argv
    assert every.line.startswith("CUDA_VISIBLE_DEVICES=GPU-a,GPU-b /")
    assert one.devices.env == {"CUDA_VISIBLE_DEVICES": "GPU-b"} and "--device CUDA0 " in one.line
    assert one.argv[-2:] == ["--n-cpu-moe", "3"]
    assert len({every.key, one.key, on_cards(tree, model, "GPU-b").key}) == 3
    with pytest.raises(InvalidInput, match="no device GPU-c.*GPU-a"):
        on_cards(tree, model, "GPU-c")
    with pytest.raises(InvalidInput, match="drives no device"):
        on_cards(tree, model, cards=[])


@pytest.mark.usefixtures("gpu_build")
def test_a_gpu_build_measures_the_cpu_if_that_is_asked_for(tree, model):
    made = bench.make_plan(tree, bench.Request(model, devices=("cpu",)), lambda: pytest.fail("it looked for GPUs"))
    assert made.argv[5:9] == ["--device", "none", "--n-gpu-layers", "0"] and made.devices.env == {}
    with pytest.raises(InvalidInput, match="measures the CPU"):
        bench.make_plan(tree, bench.Request(model, devices=("cpu",), tests={"gpu_layers": 4}))


def test_a_build_for_the_cpu_measures_no_card(tree, model):
    with pytest.raises(InvalidInput, match="runs on the CPU and cannot measure GPU-a"):
        plan(tree, model, devices=("GPU-a",))


@pytest.mark.usefixtures("gpu_build")
def test_who_holds_a_card_disturbs_and_nobody_else(tree, model):
    facts = {"devices": CARDS}
    assert benchdevices.disturbers(on_cards(tree, model, "GPU-a").devices, lambda: facts) == []
    held = on_cards(tree, model, "GPU-b")
    assert benchdevices.disturbers(held.devices, lambda: facts) == [{"pid": 7, "program": "train", "unit": None}]
    with pytest.raises(Busy, match=r"GPU-b is in use by train \(pid 7"):
        bench.measure(tree, held, seconds=60, allow_busy=False, read_facts=lambda: facts)


@pytest.mark.usefixtures("gpu_build")
def test_where_a_driver_names_nobody_other_llama_programs_disturb(tree, model, tmp_path):
    silent = {"devices": [{**CARDS[0], "processes": None}]}
    program = shutil.copy("/bin/sleep", tmp_path / "llama-server")
    with subprocess.Popen([program, "60"]) as running:
        try:
            found = benchdevices.disturbers(on_cards(tree, model, "GPU-a").devices, lambda: silent)
        finally:
            running.kill()
    assert running.pid in [item["pid"] for item in found]


@pytest.mark.usefixtures("gpu_build")
def test_llama_bench_is_told_which_cards_by_its_environment(tree, model):
    record = bench.measure(tree, on_cards(tree, model, "GPU-a"), seconds=60, allow_busy=True)
    assert record["devices"] == ["GPU-a"]
    assert "CUDA_VISIBLE_DEVICES=GPU-a\n" in Path(tree.path("environment")).read_text()


def test_plan_by_name(tree, model):
    file = modelset.look(model, sha256_of(model))
    modelset.save(tree, modelset.ModelSet(name="tiny", source=model, path=model, files=(file,), architecture="llama"))
    by_name, by_path = plan(tree, "tiny"), plan(tree, model)
    assert by_name.model["name"] == "tiny"
    assert (by_name.key, by_name.argv) == (by_path.key, by_path.argv)


def test_all_shards_of_a_model_count(tree, tmp_path):
    shards = [str(tmp_path / f"m-0000{number}-of-00002.gguf") for number in (1, 2)]
    tinymodel.write(shards[0])
    with pytest.raises(InvalidInput, match="00002-of-00002"):
        plan(tree, shards[0])
    Path(shards[1]).write_text("one")
    before = plan(tree, shards[0])
    Path(shards[1]).write_text("other")
    assert plan(tree, shards[0]).key != before.key
    assert [file["path"] for file in before.model["files"]] == shards


def test_what_is_not_there_yet(tree, model):
    with pytest.raises(Prerequisite, match="'chat' is not on this host"):
        plan(tree, "chat")
    os.unlink(tree.current)
    with pytest.raises(Prerequisite, match="No build is active"):
        plan(tree, model)


def test_what_cannot_be_measured(tree, model, tmp_path):
    with pytest.raises(InvalidInput, match="no build"):
        plan(tree, model, build="0.5.0-b123456-cpu-01234567")
    with pytest.raises(InvalidInput, match="CPU and cannot measure GPU-aaaa"):
        plan(tree, model, devices=("cpu", "GPU-aaaa"))
    with pytest.raises(InvalidInput, match="There is no file"):
        plan(tree, str(tmp_path / "missing.gguf"))
    os.rename(model, comma := str(tmp_path / "a,b.gguf"))
    with pytest.raises(InvalidInput, match="without a comma"):
        plan(tree, comma)
    os.truncate(comma, 1000)
    with pytest.raises(Untrusted):
        plan(tree, comma)


def test_measuring_stores_the_result(tree, model, monkeypatch):
    monkeypatch.setenv("LLAMA_ARG_THREADS", "1")
    made = plan(tree, model)
    record = bench.measure(tree, made, seconds=60, allow_busy=True)
    assert [row["test"] for row in record["rows"]] == ["pp32", "tg16", "pp32 @ d32", "tg16 @ d32"]
    assert (record["build"], record["key"], record["command"]) == (BUILD, made.key, made.argv)
    stored = benchresult.latest(tree, made.key, max_age=60)
    assert stored == {"schema": 1, **record}
    assert Path(tree.path("asked")).read_text().split() == made.argv[1:]
    assert "LLAMA_ARG" not in Path(tree.path("environment")).read_text()
    assert stat.S_IMODE(os.stat(benchresult.path(tree)).st_mode) == 0o644


def test_a_measured_file_is_not_hashed_again(tree, model):
    bench.measure(tree, plan(tree, model), seconds=60, allow_busy=True)
    state = os.stat(model)
    with open(model, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    os.utime(model, ns=(state.st_atime_ns, state.st_mtime_ns))
    known = plan(tree, model)
    os.utime(model)
    assert known.model["sha256"] != sha256_of(model) == plan(tree, model).model["sha256"]


FAILURES = {
    "error": ("echo 'error: failed to load model' >&2; exit 1", CommandFailed, "failed to load model"),
    "garbage": ("echo garbage", Untrusted, "no JSON"),
    "too slow": ("exec sleep 60", CommandFailed, "did not end within 1 s"),
}


@pytest.mark.parametrize(("text", "error", "said"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failed_run_stores_nothing(tree, model, text, error, said):
    script(tree, text)
    with pytest.raises(error, match=said):
        bench.measure(tree, plan(tree, model), seconds=1, allow_busy=True)
    assert list(benchresult.history(tree)) == []


def test_nothing_is_measured_beside_a_running_program(tree, model, tmp_path):
    program = shutil.copy("/bin/sleep", tmp_path / "llama-server")
    with subprocess.Popen([program, "60"]) as running:
        try:
            with pytest.raises(Busy, match=rf"llama-server \(pid {running.pid}, "):
                bench.measure(tree, plan(tree, model), seconds=60, allow_busy=False)
        finally:
            running.kill()
    assert not os.path.exists(tree.path("asked"))


def test_a_running_program_is_refused_by_pid_and_unit():
    bench.check_idle([])
    with pytest.raises(Busy, match=r"llama-server \(pid 4242, llama-chat.service\)"):
        bench.check_idle([{"pid": 4242, "program": "llama-server", "unit": "llama-chat.service"}])
