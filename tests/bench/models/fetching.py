# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching a model set from a hub on loopback, proof included, against `hf download` and curl with sha256sum.

python tests/bench/models/fetching.py [MIB [SHARDS [ROUNDS [FOLDER]]]]

Needs the collection and tests/ on PYTHONPATH, hf and curl on PATH.

The hub is a process of its own, and so is each of the tools, in turn. All end with their files on the disk (fsync); put
FOLDER into memory to leave the disk out. Only ours and the last two prove what came. Also: a run over 20 sets of 3
files in which nothing is to be done.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import fetch, modelref
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.hub import Hub
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.modelsource import Options
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree, ensure
from fixtures import local_hub
from fixtures.gguf_bytes import ARCH, U32, gguf_header, gguf_model, tensor

REPO = "owner/bench-GGUF"
OURS = """
import sys
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import fetch, modelref
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.hub import Hub
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.modelsource import Options
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree, ensure
tree = Tree(sys.argv[2] + "/root", "user")
ensure(tree)
request = modelref.request({"name": "m", "source": sys.argv[3] + ":Q8_0"})
fetch.bring(tree, request, Options(Hub.open(sys.argv[1], None)))
"""


def shards(size: int, count: int) -> dict[str, bytes]:
    """A model of `size` bytes in so many shards that differ."""
    noise = os.urandom(1 << 20)
    values = size // count // 4
    found = {}
    for at in range(count):
        head = gguf_header([ARCH, ("split.no", U32, at), ("split.count", U32, count)], [tensor("a", (values,))])
        body = noise[at:] + noise[:at]
        data = head + b"\0" * (-len(head) % 32) + (body * (4 * values // len(body) + 1))[: 4 * values]
        found[f"m-Q8_0-{at + 1:05d}-of-{count:05d}.gguf"] = data
    return found


def serve(mib: int, count: int) -> None:
    """The hub, until standard input ends; says where it is and what it has, hashed beforehand."""
    with local_hub.serving() as hub:
        files = shards(mib << 20, count)
        commit = hub.push(REPO, files)
        Hub.open(hub.endpoint, None).listing(REPO, None)
        urls = [f"{hub.endpoint}/{REPO}/resolve/{commit}/{name}" for name in files]
        print(json.dumps({"endpoint": hub.endpoint, "urls": urls}), flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def serving(mib: int, count: int) -> Iterator[dict[str, object]]:
    argv = [sys.executable, __file__, "serve", str(mib), str(count)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield json.loads(process.stdout.readline())
        process.stdin.close()


def commands(hub: dict, folder: str) -> dict[str, list[str]]:
    """What is measured, as command lines that leave their files in `folder`."""
    names = [url.rsplit("/", 1)[-1] for url in hub["urls"]]
    one = " && ".join(f"curl -sSL -o {name} {url} && sha256sum {name}" for name, url in zip(names, hub["urls"]))
    four = " ".join(f"-o {name} {url}" for name, url in zip(names, hub["urls"]))
    check = f"printf '%s\\n' {' '.join(names)} | xargs -P 4 -n 1 sha256sum"
    return {
        "ours, proven": [sys.executable, "-c", OURS, hub["endpoint"], folder, REPO],
        "hf download": ["sh", "-c", f"hf download {REPO} --local-dir . && sync *.gguf"],
        "curl, sha256sum": ["sh", "-c", f"{one} && sync *.gguf"],
        "4 curl, 4 sha256sum": ["sh", "-c", f"curl -sSLZ {four} && {check} && sync *.gguf"],
    }


def main(mib: int, count: int, rounds: int, place: str | None) -> None:
    times: dict[str, list[float]] = {}
    with serving(mib, count) as hub, tempfile.TemporaryDirectory(dir=place) as home:
        env = {**os.environ, "HF_ENDPOINT": hub["endpoint"], "HF_HOME": f"{home}/home", "HF_HUB_DISABLE_XET": "1"}
        for _round in range(rounds):
            for name, argv in commands(hub, f"{home}/files").items():
                os.mkdir(f"{home}/files")
                start = time.perf_counter()
                subprocess.run(argv, cwd=f"{home}/files", env=env, check=True, capture_output=True)
                times.setdefault(name, []).append(time.perf_counter() - start)
                shutil.rmtree(f"{home}/files")
        ours = statistics.median(times["ours, proven"])
        for name, found in times.items():
            middle = statistics.median(found)
            each = " ".join(f"{seconds:.2f}" for seconds in found)
            print(f"{name:20} {middle:7.2f} s {mib / middle:6.0f} MiB/s  {middle / ours:5.2f}   ({each})")
    many()


def many() -> None:
    """Twenty sets of three files each, brought once and then looked at."""
    with local_hub.serving() as hub, tempfile.TemporaryDirectory() as folder:
        tree = Tree(f"{folder}/root", "user")
        ensure(tree)
        options = Options(Hub.open(hub.endpoint, None))
        requests = []
        for number in range(20):
            names = [f"m-Q8_0-{at + 1:05d}-of-00003.gguf" for at in range(3)]
            models = [gguf_model(99, ("split.no", U32, at), ("split.count", U32, 3)) for at in range(3)]
            hub.push(f"owner/many{number}", dict(zip(names, models)))
            requests.append(modelref.request({"name": f"many{number}", "source": f"owner/many{number}:Q8_0"}))
            fetch.bring(tree, requests[-1], options)
        start = time.perf_counter()
        if not all(fetch.settled(tree, request) for request in requests):
            raise SystemExit("a set is not settled")
        print(f"{'20 sets of 3 files':20} {(time.perf_counter() - start) * 1000:7.1f} ms when nothing is to be done")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]), int(sys.argv[3]))
    else:
        given = sys.argv[1:]
        main(
            *(int(word) for word in (*given[:3], *("256", "4", "3")[len(given[:3]) :])), given[3] if given[3:] else None
        )
