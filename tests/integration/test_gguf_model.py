# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gguf_model by the real Ansible, with the real hub client against a hub on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import lock
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree, ensure
from ansible_runs import LOCAL
from fixtures.gguf_bytes import U32, gguf_model

PLAYBOOK = Path(__file__).resolve().parents[2] / "playbooks" / "models.yml"
TINY = tinymodel.content()
DIGEST = hashlib.sha256(TINY).hexdigest()
REPO = "owner/model-GGUF"
REFERENCE = f"{REPO}:Q8_0"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def model(root, ansible_module):
    """`model(name, source, ..., check=, diff=, env=, variables=)`: the result for one model."""

    def call(name, source=None, check=False, diff=False, env=None, variables=None, arguments=None, **entry):
        models = [{"name": name, **({"source": source} if source else {}), **entry}]
        given = {"root": str(root), "scope": "user", "models": models, **(arguments or {})}
        return ansible_module("gguf_model", given, check=check, diff=diff, env=env, variables=variables)

    return call


def below(root):
    folder = root / "models"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_builtin_model_from_preview_to_removal(root, model):
    seen = model("tiny", "builtin:tiny", check=True, diff=True)
    assert seen["changed"] and not root.exists()
    assert DIGEST in seen["diff"][0]["after"] and seen["diff"][0]["before"] == ""
    done = model("tiny", "builtin:tiny")
    assert done["changed"]
    shown = done["models"]["tiny"]
    assert (shown["sha256"], shown["architecture"], shown["size"]) == (DIGEST, "llama", len(TINY))
    assert Path(shown["path"]).read_bytes() == TINY
    again = model("tiny", "builtin:tiny")
    assert not again["changed"]
    assert again["models"]["tiny"] == {**shown, "changed": False}
    assert model("tiny", state="absent")["changed"] and not below(root)


def test_a_local_file_and_a_truncated_one(tmp_path, root, model):
    path = tmp_path / "mine.gguf"
    path.write_bytes(TINY)
    assert model("mine", str(path))["models"]["mine"]["path"] == str(path)
    assert below(root) == [".sets/mine.json"]
    path.write_bytes(TINY[:-1000])
    other = model("other", str(path))
    assert other["failed"] and "cut off" in other["msg"] and str(len(TINY)) in other["msg"]


def test_a_url_with_a_right_and_a_wrong_checksum(root, model, hub):
    hub.plain["a.gguf"] = TINY
    wrong = model("a", f"{hub.cdn}/a.gguf?key=secret-signature", checksum="0" * 64)
    assert wrong["failed"] and DIGEST in wrong["msg"] and "secret" not in json.dumps(wrong["msg"])
    assert not below(root)
    assert model("a", f"{hub.cdn}/a.gguf", checksum=f"sha256:{DIGEST}")["changed"]


def test_a_model_of_the_hub_with_a_token(tmp_path, root, model, hub):
    commit = hub.push(REPO, {"model-Q8_0.gguf": TINY, "model-Q4_0.gguf": TINY})
    hub.repos[REPO].token = "hf_very_secret"
    token = tmp_path / "token"
    token.write_text("hf_very_secret\n")
    endpoint = {"HF_ENDPOINT": hub.endpoint}
    arguments = {"token_file": str(token)}
    hidden = model("m", REFERENCE, env=endpoint)
    assert hidden["failed"] and "token_file" in hidden["msg"]
    done = model("m", REFERENCE, env=endpoint, arguments=arguments)
    assert done["models"]["m"]["revision"] == commit
    assert "hf_very_secret" not in json.dumps(done)
    assert below(root) == [".sets/m.json", f"{REPO}/model-Q8_0.gguf"]
    asked = len(hub.requests)
    assert not model("m", REFERENCE, env=endpoint)["changed"]
    assert len(hub.requests) == asked


def test_a_run_killed_in_the_second_shard_is_gone_on_with(root, model, hub):
    names = [f"BF16/model-BF16-0000{number}-of-00002.gguf" for number in (1, 2)]
    shards = [gguf_model(4000 + at, ("split.no", U32, at), ("split.count", U32, 2)) for at in (0, 1)]
    hub.push(REPO, dict(zip(names, shards)))
    hub.hang, hub.only = threading.Event(), names[1]
    killed = threading.Thread(target=kill_holder, args=(root, hub))
    killed.start()
    first = model("m", f"{REPO}:BF16", arguments={"endpoint": hub.endpoint})
    killed.join()
    assert first["failed"]
    assert not [name for name in below(root) if ".part-" not in name]
    hub.hang = None
    hub.sent_ranges.clear()
    assert model("m", f"{REPO}:BF16", arguments={"endpoint": hub.endpoint})["changed"]
    assert below(root) == [".sets/m.json", *(f"{REPO}/{name}" for name in names)]
    assert len(hub.ranges) == 1 and hub.ranges[0] > "bytes=0-", "only the rest of the second shard is fetched"


def kill_holder(root, hub):
    """Kill the process that works on the set, once the second shard is half there."""
    half = f"{REPO}/BF16"
    while len(parts := [path for path in below(root) if path.startswith(half)]) < 2:
        time.sleep(0.05)
    while not all((root / "models" / path).stat().st_size for path in parts):
        time.sleep(0.05)
    time.sleep(0.3)
    os.kill(json.loads((root / "work" / "jobs" / "model-m.lock").read_text())["pid"], signal.SIGKILL)
    hub.hang.set()


def test_a_play_that_is_killed_leaves_the_download_at_work_and_the_next_one_watches_it(root, play, hub):
    hub.push(REPO, {"model-Q8_0.gguf": TINY})
    hub.hang = threading.Event()
    user, models = {"root": str(root), "scope": "user"}, [{"name": "m", "source": REFERENCE}]
    task = {"llamaops.llama_cpp.gguf_model": {**user, "endpoint": hub.endpoint, "models": models}}
    begun = {"ansible.builtin.file": {"path": "{{ begun }}", "state": "touch"}}
    plays = [{"hosts": "localhost", "gather_facts": False, "tasks": [begun, task]}]
    marks = [root.parent / "first", root.parent / "second"]
    with ThreadPoolExecutor() as pool:
        first = pool.submit(play, plays, {"begun": str(marks[0])})
        while not list(root.glob("work/jobs/*.jid")) or not hub.count("cdn"):
            assert not first.done(), first.result().output
            time.sleep(0.1)
        for pid in children(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        assert first.result().rc < 0
        second = pool.submit(play, plays, {"begun": str(marks[1])})
        while not marks[1].exists():
            time.sleep(0.1)
        time.sleep(10)
        release, hub.hang = hub.hang, None
        release.set()
        done = second.result()
    assert done.rc == 0 and done.result("gguf_model")["changed"], done.output
    assert "[localhost] goes on watching a run that was begun before: model m" in done.output, done.output
    assert hub.ranges[0] == "" and all(hub.ranges[1:]), "nothing is fetched twice"
    assert not list(root.glob("work/jobs/gguf-model-*")), "nothing of the job is left"


def children(pid):
    """The processes below one; a job of the host is none of them any more."""
    words = [word for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]
    return [each for child in map(int, words) for each in (*children(child), child)]


def test_a_look_at_a_model_of_the_hub(ansible_module, hub):
    hub.push(REPO, {"model-Q8_0.gguf": TINY})
    found = ansible_module("gguf_info", {"source": REFERENCE, "endpoint": hub.endpoint}, check=True)
    assert (found["changed"], found["architecture"], found["size"]) == (False, "llama", len(TINY))
    assert hub.count("cdn") == 1


def test_latest_and_pins(root, model, hub):
    commit = hub.push(REPO, {"model-Q8_0.gguf": TINY})
    arguments = {"endpoint": hub.endpoint, "lock": True}
    pins = model("m", REFERENCE, arguments=arguments)["lock"]
    assert pins == {"m": {"source": REFERENCE, "revision": commit, "checksum": f"sha256:{DIGEST}"}}
    hub.push(REPO, {"model-Q8_0.gguf": gguf_model(9)})
    seen = model("m", REFERENCE, check=True, diff=True, arguments=arguments, state="latest")
    assert seen["changed"] and commit in seen["diff"][0]["before"] and commit not in seen["diff"][0]["after"]
    stray = root / "models" / "o" / "r" / "old.gguf"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"123")
    last = model("m", arguments={**arguments, "gc": True}, **pins["m"])
    assert not last["models"]["m"]["changed"]
    assert last["unused"] == [{"path": str(stray), "size": 3}] and not stray.parent.exists()
    assert last["usage"] == {"m": len(TINY)}


def test_whoever_holds_the_lock_is_named(root, model):
    tree = Tree(str(root), "user")
    ensure(tree)
    with lock.hold(tree, "a test", 0, f"{tree.jobs}/model-tiny.lock"):
        done = model("tiny", "builtin:tiny", arguments={"lock_timeout": 0})
    assert done["failed"] and f"process {os.getpid()} (a test" in done["msg"]


def test_without_the_hub_client_a_preview_warns_and_a_run_says_what_helps(root, model, hub):
    bare = {"ansible_python_interpreter": sys._base_executable}
    probed = subprocess.run([sys._base_executable, "-c", "import huggingface_hub"], capture_output=True, check=False)
    if probed.returncode == 0:
        pytest.skip("the Python outside of the test environment has the hub's client")
    seen = model("m", REFERENCE, check=True, variables=bare)
    assert seen["changed"] and "would be fetched" in "".join(seen["warnings"])
    done = model("m", REFERENCE, variables=bare)
    assert done["failed"] and "llama_runtime" in done["msg"]
    assert not root.exists()


def test_the_playbook_fetches_what_instances_name(root, play, hub):
    hub.push(REPO, {"model-Q8_0.gguf": TINY})
    site = {
        "llama_root": str(root),
        "llama_scope": "user",
        "llama_env": {"HF_ENDPOINT": hub.endpoint},
        "llama_models": {"tiny": "builtin:tiny"},
        "llama_instances": {"chat": {"model": REFERENCE, "port": 8080}},
        "llama_instances__more": {"other": {"model": "tiny", "port": 8081}},
    }
    seen = play(PLAYBOOK, site, check=True)
    assert (seen.rc, seen.changed) == (0, 1), seen.output
    assert not root.exists()
    first = play(PLAYBOOK, site)
    assert first.rc == 0, first.output
    assert sorted(first.result("what the inventory says")["models"]) == ["owner-model-gguf-q8-0", "tiny"]
    second = play(PLAYBOOK, site)
    assert (second.rc, second.changed) == (0, 0), second.output


# ------------------------------------------------------------------ several hosts


@pytest.fixture
def fleet(tmp_path, hub):
    """`fleet(hosts, **variables of all)`: an inventory of local hosts, each with a root of its own."""
    hub.push(REPO, {"model-Q8_0.gguf": TINY})

    def write(hosts, **shared):
        common = {
            **LOCAL,
            "llama_scope": "user",
            "llama_models_endpoint": hub.endpoint,
            "llama_models": {"m": REFERENCE},
        }
        found = {name: {"llama_root": str(tmp_path / name), **own} for name, own in hosts.items()}
        path = tmp_path / "inventory.json"
        path.write_text(json.dumps({"all": {"hosts": found, "vars": {**common, **shared}}}))
        return path

    return write


def models_of(folder):
    return [path for path in below(folder) if path.endswith(".gguf")]


def test_one_host_fetches_for_all_and_the_controller_carries(tmp_path, play, hub, fleet):
    inventory = fleet(dict.fromkeys(("one", "two"), {}) | {"keeper": {"llama_models": {}}}, llama_models_from="keeper")
    done = play(PLAYBOOK, {"llama_hosts": "one,two"}, inventory=inventory)
    assert (done.rc, done.changed) == (0, 3), done.output
    for name in ("keeper", "one", "two"):
        assert models_of(tmp_path / name) == [f"{REPO}/model-Q8_0.gguf"]
        assert (tmp_path / name / "models" / REPO / "model-Q8_0.gguf").read_bytes() == TINY
    assert hub.count("cdn") == 1
    again = play(PLAYBOOK, {"llama_hosts": "one,two"}, inventory=inventory)
    assert (again.rc, again.changed) == (0, 0), again.output


def test_hosts_of_one_shared_store_have_one_writer_and_clean_it_together(tmp_path, play, hub, fleet):
    stores = [{"path": str(tmp_path / "shared"), "mode": "rw", "shared": True}]
    hosts = {"one": {}, "two": {"llama_models": {"n": f"{REPO}:Q8_0"}}}
    inventory = fleet(hosts, llama_models_stores=stores)
    seen = play(PLAYBOOK, inventory=inventory, check=True)
    assert seen.rc == 0 and not (tmp_path / "shared").exists(), seen.output
    done = play(PLAYBOOK, inventory=inventory)
    assert done.rc == 0 and hub.count("cdn") == 1, done.output
    assert models_of(tmp_path / "one") == models_of(tmp_path / "two") == []
    stray = tmp_path / "shared" / "o" / "r" / "old.gguf"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"123")
    part = play(PLAYBOOK, {"gc": "true", "llama_hosts": "two"}, inventory=inventory)
    assert part.rc == 0 and stray.exists(), "one host alone cleans nothing"
    assert "2 hosts of the inventory use them, and 1 said what they use" in " ".join(part.output.split()), part.output
    whole = play(PLAYBOOK, {"gc": "true"}, inventory=inventory)
    assert whole.rc == 0 and not stray.exists() and "two" in whole.stats, whole.output
