# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role llama_reranker and the service it lays down, with tiny models of the real Transformers library."""

from __future__ import annotations

import concurrent.futures
import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_runs import LOCAL, REPOSITORY, Run, ansible
from openai import AuthenticationError, OpenAI

FILES = REPOSITORY / "roles" / "llama_reranker" / "files"
FIXTURES = REPOSITORY / "tests" / "fixtures"
KEYS = ["first-key-for-tests", "second-key-for-tests"]
QUERY = "what is the capital of france"
DOCUMENTS = [  # those of tests/fixtures/transformers_models.py
    "paris is the capital of france",
    "the cat sat on a mat",
    "berlin is the capital of germany and the cat sat on the mat where the cat is",
    "a cat",
]
CLOSE = {"rel": 1e-4, "abs": 1e-5}


def play_role(folder: Path, root: Path, **variables: Any) -> Run:
    """The role on this machine, in the user scope; torch in the smallest build there is."""
    packages = [line for line in (FILES / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    given = {
        "llama_root": str(root),
        "llama_scope": "user",
        "llama_reranker_packages": ["torch==2.13.0" if line.startswith("torch") else line for line in packages],
        **variables,
    }
    folder.mkdir(parents=True, exist_ok=True)
    playbook = folder / "role.json"
    playbook.write_text(
        json.dumps([{"hosts": "all", "gather_facts": False, "roles": ["llamaops.llama_cpp.llama_reranker"]}])
    )
    check = bool(given.pop("check", False))
    return ansible(
        folder, ["ansible-playbook", "-i", "localhost,", str(playbook)], {**LOCAL, **given}, check, False, {}
    )


@pytest.fixture(scope="session")
def reranker_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the service, kept between runs: its packages are large."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "llamaops-test" / "reranker"
    done = play_role(tmp_path_factory.mktemp("role"), cache, llama_reranker_keep=1)
    if done.rc:
        pytest.fail(f"The role failed: {done.messages or done.output}")
    return cache


@pytest.fixture(scope="session")
def command(reranker_root: Path) -> list[str]:
    current = (reranker_root / "reranker" / "current").resolve()
    return [str(current / "venv" / "bin" / "python"), str(current / "llama-reranker.py")]


@pytest.fixture(scope="session")
def models(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    made = [command[0], str(FIXTURES / "transformers_models.py"), str(folder), str(FILES / "service")]
    subprocess.run(made, check=True, capture_output=True)
    return folder


class Server:
    """A service started by hand, as its command line says."""

    def __init__(self, command: list[str], model: Path, folder: Path, *more: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log = folder / "service.log"
        argv = [*command, "--model", str(model), "--port", str(self.port), "--threads", "1", *more]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def __call__(
        self, path: str, body: Any = None, key: str | None = None, raw: bytes | None = None
    ) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        head = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        try:
            connection.request("GET" if data is None else "POST", path, data, head)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text.decode()

    def wait(self, seconds: float = 120) -> Server:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self("/health")[0] == 200:
                    return self
            except OSError:
                pass
            time.sleep(0.1)
        pytest.fail(f"The service did not come up:\n{self.log.read_text()}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)


@pytest.fixture(scope="module")
def serve(command: list[str], models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """`serve(model, *flags)`, a Server that is ready; the same one for the same words."""
    servers: dict[tuple[str, ...], Server] = {}

    def start(model: str, *more: str) -> Server:
        key = (model, *more)
        if key not in servers:
            servers[key] = Server(command, models / model, tmp_path_factory.mktemp("service"), *more)
        return servers[key].wait()

    yield start
    for server in servers.values():
        server.stop()


def expected(models: Path, name: str) -> Any:
    return json.loads((models / name / "expected.json").read_text())


def number(server: Server, name: str) -> float:
    """A metric of a server."""
    lines = [line.split() for line in server("/metrics")[1].splitlines()]
    return next(float(line[1]) for line in lines if line[0] == name)


def scores_of(answer: Any) -> list[float]:
    """Scores in the order of the documents."""
    return [result["relevance_score"] for result in sorted(answer["results"], key=lambda result: result["index"])]


@pytest.mark.parametrize("model", ["cross-encoder", "roberta", "yes-no"])
def test_scores_are_those_of_the_library_whatever_the_batch(serve, models, model):
    wanted = expected(models, model)
    assert max(wanted) - min(wanted) > 0.001  # else any order would do
    server = serve(model, "--batch-tokens", "70")
    status, answer = server("/v1/rerank", {"query": QUERY, "documents": DOCUMENTS})
    assert status == 200 and scores_of(answer) == pytest.approx(wanted, **CLOSE)
    order = [result["index"] for result in answer["results"]]
    assert order == sorted(order, key=lambda index: -wanted[index])
    assert set(answer) == {"model", "object", "usage", "results"} and answer["usage"]["total_tokens"] > 0
    assert number(server, "llama_reranker_batches_total") > 1


def test_shapes_of_other_services(serve, models):
    server = serve("cross-encoder", "--scores", "sigmoid", "--alias", "ranker")
    given = [{"text": text} for text in DOCUMENTS]
    asked = {"query": QUERY, "documents": given, "top_n": 2, "return_documents": True, "model": "mine"}
    for path in ("/rerank", "/reranking", "/v1/rerank", "/v1/reranking"):
        answer = server(path, asked)[1]
        assert len(answer["results"]) == 2 and answer["model"] == "mine"
        assert answer["results"][0]["document"] == given[answer["results"][0]["index"]]
        assert all(0 < result["relevance_score"] < 1 for result in answer["results"])
    status, answer = server("/rerank", {"query": QUERY, "texts": DOCUMENTS, "return_text": True})
    assert status == 200 and [set(entry) for entry in answer] == [{"index", "score", "text"}] * 4
    assert server("/v1/models")[1]["data"][0]["id"] == "ranker"


def test_many_clients_at_once_get_their_own_scores(serve, models):
    server, wanted = serve("cross-encoder"), expected(models, "cross-encoder")
    before = [number(server, f"llama_reranker_{what}_total") for what in ("inputs", "batches")]

    def ask(turn: int) -> bool:
        documents = DOCUMENTS[turn % 4 :] + DOCUMENTS[: turn % 4]
        scores = scores_of(server("/rerank", {"query": QUERY, "documents": documents})[1])
        return scores == pytest.approx(wanted[turn % 4 :] + wanted[: turn % 4], **CLOSE)

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        assert all(pool.map(ask, range(60)))
    assert number(server, "llama_reranker_inputs_total") - before[0] == 240
    assert number(server, "llama_reranker_batches_total") - before[1] < 60  # requests were put together
    assert number(server, "llamacpp:requests_processing") == 0


def test_texts_longer_than_the_model_are_cut(serve):
    server = serve("cross-encoder")
    status, answer = server("/rerank", {"query": QUERY, "documents": ["cat " * 5000, "a cat"]})
    assert status == 200 and len(answer["results"]) == 2 and answer["usage"]["total_tokens"] <= 64 + 20
    assert number(server, "llama_reranker_truncated_total") == 1


def test_embeddings_as_the_openai_client_wants_them(serve, models, tmp_path):
    wanted = expected(models, "embedder")
    key_file = tmp_path / "keys"
    key_file.write_text("# comment\n" + "\n".join(KEYS) + "\n")
    server = serve("embedder", "--api-key-file", str(key_file))
    url = f"http://127.0.0.1:{server.port}/v1"
    for key in KEYS:
        client = OpenAI(base_url=url, api_key=key)
        for form in "float", "base64":
            found = client.embeddings.create(model="any", input=DOCUMENTS, encoding_format=form)
            if form == "float":
                assert [entry.embedding for entry in found.data] == [pytest.approx(row, **CLOSE) for row in wanted]
        default = client.embeddings.create(model="any", input=DOCUMENTS[0])
        assert default.data[0].embedding == pytest.approx(wanted[0], **CLOSE)
    with pytest.raises(AuthenticationError):
        OpenAI(base_url=url, api_key="wrong").embeddings.create(model="any", input="cat")
    assert server("/health")[0] == 200
    assert [server(path)[0] for path in ("/metrics", "/slots", "/v1/models", "/docs", "/nothing")] == [401] * 5
    slot = server("/slots", key=KEYS[1])[1][0]
    assert slot["is_processing"] is False and slot["n_prompt_tokens_processed"] > 0


def test_wrong_requests_end_in_a_sentence(serve):
    server = serve("cross-encoder")
    for body in (
        {"query": 1, "documents": ["a"]},
        {"documents": ["a"]},
        {"query": "a", "documents": []},
        {"query": "a"},
        {"query": "a", "documents": [1]},
        {"query": "a", "documents": [{"nothing": "b"}]},
        {"query": "a", "documents": ["b"], "top_n": 0},
        ["a"],
    ):
        status, answer = server("/v1/rerank", body)
        assert (status, answer["error"]["type"]) == (400, "invalid_request_error"), body
    assert server("/v1/rerank", raw=b"{")[0] == 400
    assert server("/v1/rerank", {"query": "a", "documents": ["b" * (17 << 20)]})[0] == 413
    status, answer = server("/v1/embeddings", {"input": "cat"})
    assert status == 501 and "embedding" in answer["error"]["message"]
    assert server("/v1/rerank", {"query": QUERY, "documents": ["a cat"]})[0] == 200


def test_models_that_are_refused(command, models):
    script = """
import sys
from llama_reranker.model import LoadError, load

for folder, reason in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    try:
        load(folder)
        raise SystemExit(f"{folder} was loaded")
    except LoadError as exc:
        assert reason in str(exc), exc
"""
    reasons = {"classes": "2 classes", "pickled": "safetensors", "with-code": "does not know"}
    words = [word for name, reason in reasons.items() for word in (str(models / name), reason)]
    subprocess.run([command[0], "-c", script, *words], check=True, cwd=Path(command[1]).parent)
    assert not (models / "with-code" / "trace").exists()  # what its own code would have left


@pytest.mark.parametrize(("name", "reason", "status"), [("nothing", "config.json", 1), ("classes", "2 classes", 78)])
def test_a_model_that_cannot_be_loaded_ends_the_service(command, models, tmp_path, name, reason, status):
    """78 where another start would end alike: its unit is then not started again."""
    server = Server(command, models / name, tmp_path)
    assert server.process.wait(timeout=120) == status
    assert reason in server.log.read_text() and "Traceback" not in server.log.read_text()


def test_memory_that_does_not_suffice_halves_the_batches(command):
    """On a GPU this is torch's own error; here a model that raises it says how much it takes."""
    script = """
import torch
from llama_reranker.batching import Batcher, Item

def run(items):
    if len(items) * max(len(item.tokens) for item in items) > 40:
        raise torch.OutOfMemoryError("too much")
    return [sum(item.tokens) for item in items]

batcher = Batcher(run, 1000, 100)
futures = batcher.submit([Item([number] * 10) for number in range(20)] + [Item([1] * 50)])
results = [future.exception() or future.result() for future in futures]
assert results[:-1] == [number * 10 for number in range(20)], results
assert isinstance(results[-1], torch.OutOfMemoryError)
assert batcher.batch_tokens <= 80, batcher.batch_tokens
batcher.stop()
"""
    subprocess.run([command[0], "-c", script], check=True, cwd=Path(command[1]).parent)


def test_the_role_again_changes_nothing(reranker_root, tmp_path):
    assert play_role(tmp_path, reranker_root).changed == 0


def test_the_role_on_an_empty_host_in_check_mode(tmp_path):
    done = play_role(tmp_path, tmp_path / "root", check=True)
    assert done.rc == 0, done.messages
    assert "Would make" in done.output and not (tmp_path / "root").exists()


def test_a_python_that_is_too_old_is_refused(tmp_path):
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\necho 3.10\necho "$3"\n')
    old.chmod(0o755)
    done = play_role(tmp_path, tmp_path / "root", llama_reranker_python=str(old))
    assert done.rc != 0 and "3.11" in done.messages and "llama_reranker_python" in done.messages


def test_a_model_is_fetched_from_the_hub_and_proven(reranker_root, models, hub, tmp_path):
    files = {path.name: path.read_bytes() for path in (models / "cross-encoder").iterdir() if path.is_file()}
    revision = hub.push("org/ranker", {**files, "pytorch_model.bin": b"a pickle"})
    name = f"ranker-{tmp_path.name}"
    given = {
        "llama_reranker_models": {name: {"repo": "org/ranker", "revision": revision}},
        "llama_reranker_env": {"HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_XET": "1"},
    }
    folder = reranker_root / "reranker" / "models" / name
    try:
        hub.corrupt = {"model.safetensors"}
        done = play_role(tmp_path / "a", reranker_root, **given)
        assert done.rc != 0 and "model.safetensors is not the file" in done.output
        assert not (folder / "current").exists() and not (folder / revision).exists()
        hub.corrupt = set()
        assert play_role(tmp_path / "b", reranker_root, **given).rc == 0
        found = {path.name: path.read_bytes() for path in (folder / "current").iterdir() if path.is_file()}
        assert found == {name: data for name, data in files.items() if name != "pytorch_model.bin"}
        assert play_role(tmp_path / "c", reranker_root, **given).changed == 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_branch_is_no_revision(reranker_root, tmp_path):
    done = play_role(tmp_path, reranker_root, llama_reranker_models={"m": {"repo": "org/m", "revision": "main"}})
    assert done.rc != 0 and "full commit" in done.output


@pytest.fixture
def transformers_site(instance_root, reranker_root, ansible_module):
    """`site(**fields)`: one instance `rank` of the kind transformers under supervisord, removed at the end."""
    if not (instance_root / "reranker").exists():
        (instance_root / "reranker").symlink_to(reranker_root / "reranker")
    common = {"root": str(instance_root), "scope": "user", "manager": "supervisor", "keys": {"team": KEYS[0]}}

    def call(purge: bool = False, check: bool = False, **fields: Any) -> dict[str, Any]:
        instances = [] if purge else [{"name": "rank", "kind": "transformers", "keys": ["team"], **fields}]
        return ansible_module("llama_instance", {**common, "instances": instances, "purge": purge}, check=check)

    yield call
    call(purge=True)


def test_an_instance_of_the_kind_transformers(transformers_site, models, port):
    fields = {"model": str(models / "cross-encoder"), "port": port, "options": {"threads": 1}}
    first = transformers_site(**fields)
    assert not first["failed"], first["msg"]
    shown = first["instances"]["rank"]
    assert shown["build_id"].startswith("transformers-") and "scores" in shown["proof"]
    assert shown["residency"] == "verified", shown["residency_reasons"]
    assert shown["plan"]["host"]["components"]["mapped_weights"] > 0
    assert KEYS[0] not in json.dumps(first)
    assert f"command={shlex.join(shown['command'])}" in Path(shown["unit"]).read_text()
    assert shown["command_line"].endswith(shlex.join(shown["command"]))
    assert transformers_site(**fields)["changed"] is False

    def ask(key: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        body = json.dumps({"query": QUERY, "documents": DOCUMENTS}).encode()
        connection.request("POST", "/v1/rerank", body, {"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    assert scores_of(ask(KEYS[0])[1]) == pytest.approx(expected(models, "cross-encoder"), **CLOSE)
    assert ask("wrong")[0] == 401
    os.kill(shown["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            if ask(KEYS[0])[0] == 200:
                break
        except OSError:
            time.sleep(0.2)
    assert scores_of(ask(KEYS[0])[1]) == pytest.approx(expected(models, "cross-encoder"), **CLOSE)

    embedder = transformers_site(**{**fields, "model": str(models / "embedder")})
    assert not embedder["failed"], embedder["msg"]
    assert embedder["instances"]["rank"]["proof"] == {"dimensions": 32}
    broken = transformers_site(**{**fields, "model": str(models / "classes")})
    assert broken["failed"] and "2 classes" in broken["msg"] and broken["restored"]


def test_fields_that_mean_nothing_to_transformers_are_refused(transformers_site, models, port):
    fields = {"model": str(models / "cross-encoder"), "port": port}
    for change, reason in (
        ({"ctx_size": 4096}, "ctx_size"),
        ({"options": {"flash_attn": "on"}}, "flash_attn"),
        ({"options": {"dtype": "int4"}}, "bfloat16"),
        ({"devices": {"count": 1}}, "UUID"),
        ({"model": "/nowhere"}, "config.json"),
        ({"model": "unknown"}, "llama_reranker"),
    ):
        refused = transformers_site(**{**fields, **change})
        assert refused["failed"] and reason in refused["msg"] + refused.get("remedy", ""), refused
