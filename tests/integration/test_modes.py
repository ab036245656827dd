# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every mode of an instance, by the real llama-server under supervisord: it starts, answers in the right shape, comes
back after kill -9, enforces its key, and can be read."""

from __future__ import annotations

import base64
import json
import os
import shlex
import signal
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import openai
import pytest
import yaml
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import probe
from ansible_runs import must, run_module
from fixtures import tiny_models

KEY = "a-key-that-nobody-else-has"
KEYED = {"keys": ["team"]}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return tiny_models.write_all(tmp_path_factory.mktemp("models"))


def png(width: int = 28, height: int = 28) -> str:
    """A red picture as a data URL."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\xff\0\0" * width for _row in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(data).decode()


def ask(url, path, body=None, key=KEY):
    """The decoded answer of a server; raises HTTPError for any status but 200."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    with urllib.request.urlopen(urllib.request.Request(url + path, data, headers), timeout=60) as answer:
        return json.load(answer)


def chats(url, model="chat", expected=tinymodel.ANSWER, content="Say hello."):
    with openai.OpenAI(base_url=url + "/v1", api_key=KEY, max_retries=0) as client:
        answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content == expected
    assert answer.model == model
    return answer


def embeds(url, model="embedding"):
    with openai.OpenAI(base_url=url + "/v1", api_key=KEY, max_retries=0) as client:
        found = client.embeddings.create(model=model, input=["Paris is a capital.", "Cows eat grass."])
    assert [len(item.embedding) for item in found.data] == [tiny_models.WIDTH] * 2
    assert found.data[0].embedding != found.data[1].embedding


def reranks(url, model="rerank"):
    documents = ["Cows eat grass.", "Paris is the capital of France.", "Bread is baked."]
    body = {"model": model, "query": "What is the capital of France?", "documents": documents, "top_n": 2}
    answer = ask(url, "/v1/rerank", body)
    assert answer["object"] == "list"
    assert len(answer["results"]) == 2
    scores = [item["relevance_score"] for item in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert {item["index"] for item in answer["results"]} <= {0, 1, 2}
    assert answer["results"] == ask(url, "/rerank", body)["results"]  # the same by Jina's path


def sees(url):
    picture = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": png()}}]
    with_picture = chats(url, "multimodal", content=picture).usage.prompt_tokens
    without = chats(url, "multimodal", content="What?").usage.prompt_tokens
    assert with_picture >= without + 4  # 28 x 28 pixels are four patches


def adapts(url):
    chats(url, "lora", expected=tiny_models.LORA_ANSWER)


def routes(url):
    chats(url, "chat")
    embeds(url, "embed")
    assert {item["id"] for item in ask(url, "/v1/models")["data"]} == {"chat", "embed"}


def drafts(url):
    answer = ask(url, "/completion", {"prompt": "Hello", "n_predict": 24})
    assert answer["content"] == tinymodel.ANSWER
    assert answer["timings"]["draft_n_accepted"] > 0


MODES = {
    "chat": (lambda files: {"model": files["tiny"]}, chats),
    "embedding": (lambda files: {"kind": "embedding", "model": files["embed"]}, embeds),
    "rerank": (lambda files: {"kind": "rerank", "model": files["rerank"]}, reranks),
    "multimodal": (lambda files: {"model": files["tiny"], "mmproj": files["mmproj"]}, sees),
    "lora": (lambda files: {"model": files["tiny"], "lora": [files["lora"]]}, adapts),
    "draft": (
        lambda files: {"model": files["tiny"], "spec": {"type": "draft-simple", "draft": files["tiny"]}},
        drafts,
    ),
    "router": (
        lambda files: {
            "kind": "router",
            "models": {
                "chat": {"model": files["tiny"], "load": True},
                "embed": {"model": files["embed"], "kind": "embedding"},
            },
        },
        routes,
    ),
}


@pytest.fixture(scope="module")
def call(instance_root, tmp_path_factory):
    """`call(*instances)` on the root of this file; what is there stays for the next test."""
    common = {"root": str(instance_root), "scope": "user", "manager": "supervisor", "keys": {"team": KEY}}
    folder = tmp_path_factory.mktemp("runs")

    def run(*instances, **more):
        given = {**common, "instances": list(instances), **more}
        return must(run_module(folder, "llama_instance", given))["instances"]

    yield run
    run(purge=True)


@pytest.fixture(scope="module")
def entries(files):
    found = {}
    for mode, (make, _answers) in MODES.items():
        with socket.create_server(("127.0.0.1", 0)) as free:
            found[mode] = {"name": mode, "port": free.getsockname()[1], **KEYED, **make(files)}
    return found


@pytest.fixture(scope="module")
def deployed(call, entries):
    return call(*entries.values())


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_starts_answers_keeps_its_key_and_can_be_read(deployed, mode):
    shown = deployed[mode]
    assert shown["proof"]
    MODES[mode][1](shown["url"])
    for path, body in (("/v1/models", None), ("/completion", {"prompt": "x"})):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(shown["url"], path, body, key=None)
    line = shlex.split(shown["command_line"])
    assert line[-len(shown["command"]) :] == shown["command"]
    assert [word for word in line if "=" not in word][0] == shown["command"][0]
    assert f"command={shlex.join(shown['command'])}" in Path(shown["unit"]).read_text()
    assert KEY not in str(deployed) + Path(shown["unit"]).read_text()


@pytest.mark.parametrize("mode", MODES)
def test_the_memory_of_a_mode_lies_where_it_was_planned(deployed, mode):
    found = deployed[mode]
    assert (found["residency"], found["residency_reasons"]) == ("verified", [])
    assert found["actual"]["host"]["process"] > 0


def test_what_drafts_bring_is_reported(deployed):
    found = deployed["draft"]["proof"]["speculation"]
    assert found["accepted"] == found["drafted"] > 0  # a model agrees with itself
    assert found["ms_per_token"] > 0 and found["ms_without"] > 0


def test_every_mode_comes_back_after_kill_9(call, entries, deployed):
    for shown in deployed.values():
        os.kill(shown["pid"], signal.SIGKILL)
    again = call(*entries.values())
    assert {mode: shown["pid"] for mode, shown in again.items() if shown["pid"] in (0, deployed[mode]["pid"])} == {}
    for mode, (_make, answers) in MODES.items():
        answers(again[mode]["url"])


def test_a_model_that_ranks_wrong_is_not_healthy_unless_answers_are_enough(site, port, files):
    entry = {"name": "one", "port": port, "kind": "rerank", "model": files["misrank"]}
    refused = site(entry)
    assert refused["failed"]
    assert "ranks wrong" in refused["msg"]
    assert "proof: answers" in refused["msg"]
    taken = site({**entry, "proof": "answers"})["instances"]["one"]
    assert taken["proof"]["ranks"] is False
    answer = ask(taken["url"], "/v1/rerank", {"query": "a", "documents": ["b"]}, key=None)
    assert set(answer) == {"model", "object", "usage", "results"}  # the shape that the probe checks is upstream's
    assert set(answer["results"][0]) == {"index", "relevance_score"}


def children(pid):
    """Processes of the models of a router: model -> pid."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"\nPPid:\t{pid}\n" in (folder / "status").read_text():
                words = (folder / "cmdline").read_text().split("\0")
                found[words[words.index("--alias") + 1]] = (int(folder.name), words)
        except (OSError, ValueError):
            continue
    return found


def router_of(files, port, **models):
    every = {"a": {"model": files["tiny"], "load": True}, "b": {"model": files["tiny"], "load": True}, **models}
    kept = {name: entry for name, entry in every.items() if entry}
    return {"name": "all", "kind": "router", "port": port, **KEYED, "models": kept}


def test_an_edit_of_a_router_restarts_nothing_that_did_not_change(site, port, files):
    keys = {"team": KEY}
    first = site(router_of(files, port), keys=keys, diff=True)
    assert first["instances"]["all"]["residency"] == "verified", first["instances"]["all"]["residency_reasons"]
    assert not first["failed"], first["msg"]
    assert any("[a]" in part["after"] for part in first["diff"])
    pid = first["instances"]["all"]["pid"]
    before = children(pid)
    assert set(before) == {"a", "b"}
    assert not site(router_of(files, port), keys=keys)["changed"]
    for model in before.values():  # a child answers nobody without the key, which no command line shows
        child = f"http://127.0.0.1:{model[1][model[1].index('--port') + 1]}"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(child, "/v1/models", key=None)
        assert KEY not in str(model) + Path(f"/proc/{model[0]}/environ").read_text()

    edited = router_of(
        files, port, b={"model": files["tiny"], "parallel": 2}, c={"model": files["embed"], "kind": "embedding"}
    )
    seen = site(edited, keys=keys, check=True, diff=True)
    assert seen["instances"]["all"]["actions"] == ["presets"]
    assert "parallel = 2" in seen["diff"][-1]["after"]
    assert children(pid) == before
    done = site(edited, keys=keys)
    assert not done["failed"], done["msg"]
    assert done["instances"]["all"]["actions"] == ["presets"]
    assert done["instances"]["all"]["pid"] == pid
    after = children(pid)
    assert after["a"] == before["a"], "what did not change goes on"
    assert after["b"][0] != before["b"][0], "what changed and ran runs again"
    assert "c" not in after, "what is new waits until somebody asks"
    embeds(done["instances"]["all"]["url"], "c")
    gone = site(router_of(files, port, b=None), keys=keys)
    assert gone["instances"]["all"]["actions"] == ["presets"]
    assert set(children(pid)) == {"a"}


def test_an_edit_that_fails_brings_the_models_back(site, port, files):
    keys = {"team": KEY}
    pid = site(router_of(files, port), keys=keys)["instances"]["all"]["pid"]
    broken = router_of(files, port, b={"model": files["tiny"], "load": True, "chat_template_file": "/nowhere/t.jinja"})
    failed = site(broken, keys=keys)
    assert failed["failed"]
    assert "b failed to load" in failed["msg"]
    again = site(router_of(files, port), keys=keys)
    assert not again["failed"], again["msg"]
    assert not again["changed"]
    assert again["instances"]["all"]["pid"] == pid
    chats(again["instances"]["all"]["url"], "b")


def test_the_probe_insists_on_the_certificate(site, port, files, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=chat.example.org", "-days", "2"]
    subprocess.run([*new, "-keyout", key, "-out", cert], check=True, capture_output=True)
    shown = site({"name": "one", "port": port, "model": files["tiny"], "tls": {"cert": str(cert), "key": str(key)}})
    assert not shown["failed"], shown["msg"]
    one = shown["instances"]["one"]
    assert (one["url"], one["proof"]["tokens"] > 0) == (f"https://127.0.0.1:{port}", True)
    subprocess.run([*new, "-keyout", key, "-out", tmp_path / "other.pem"], check=True, capture_output=True)
    assert probe.health(f"{one['url']}#{cert}") == probe.READY
    assert probe.health(f"{one['url']}#{tmp_path / 'other.pem'}") == probe.UNREACHABLE
    assert probe.health(one["url"]) == probe.UNREACHABLE


def test_a_pasted_command_becomes_the_entry_that_runs_it(site, port, files, ansible_module):
    text = f"LLAMA_ARG_CTX_SIZE=1024 llama-server -m {files['tiny']} --port {port} -np 2 --metrics --api-key {KEY}"
    arguments = {"root": str(site.root), "scope": "user", "manager": "supervisor", "parse": text}
    parsed = ansible_module("llama_instance_info", arguments)["parsed"]
    assert KEY not in str(parsed)
    assert yaml.safe_load(parsed["yaml"]) == {"tiny": parsed["definition"]}
    shown = site({"name": parsed["name"], **parsed["definition"]}, keys={parsed["name"]: KEY})
    assert not shown["failed"], shown["msg"]
    slots = ask(shown["instances"]["tiny"]["url"], "/slots")
    assert [slot["n_ctx"] for slot in slots] == [512, 512]


def test_no_configuration_from_beside_reaches_an_instance(site, port, files, ansible_module, tmp_path):
    """A file and a variable are planted that would move the whole API elsewhere."""
    (tmp_path / "llama.cpp").mkdir()
    (tmp_path / "llama.cpp" / "config.ini").write_text("[*]\napi-prefix = /planted\n")
    env = {"XDG_CONFIG_HOME": str(tmp_path), "LLAMA_ARG_API_PREFIX": "/planted"}
    common = {"root": str(site.root), "scope": "user", "manager": "supervisor"}
    entry = {"name": "one", "port": port, "model": files["tiny"]}
    shown = ansible_module("llama_instance", {**common, "instances": [entry]}, env=env)
    assert not shown["failed"], shown["msg"]
    one = shown["instances"]["one"]
    assert ask(one["url"], "/health", key=None) == {"status": "ok"}
    bare = [one["command"][0], "--model", files["tiny"], "--port", str(port + 1), "--device", "none"]
    for planted in ({"XDG_CONFIG_HOME": str(tmp_path)}, {"LLAMA_ARG_API_PREFIX": "/planted"}):  # the plants are alive
        with subprocess.Popen(bare, env=planted, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                deadline = time.monotonic() + 60
                while probe.health(f"http://127.0.0.1:{port + 1}") == probe.UNREACHABLE and time.monotonic() < deadline:
                    time.sleep(0.1)
                while time.monotonic() < deadline:
                    status, _body = probe.request(f"http://127.0.0.1:{port + 1}", "/planted/health")
                    if status == 200:
                        break
                    time.sleep(0.1)
                assert status == 200
            finally:
                server.kill()
