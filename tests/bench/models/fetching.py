# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching a model set from a hub on loopback, proof included, against `hf download` and curl with sha256sum.

python tests/bench/models/fetching.py [MIB] [SHARDS]     (the collection and tests/ on PYTHONPATH; hf and curl on PATH)
Also: a run over 20 sets of 3 files in which nothing is to be done.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import fetch, modelref
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.hub import Hub
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.modelsource import Options
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree, ensure
from fixtures import local_hub
from fixtures.gguf_bytes import U32, gguf_model

REPO = "owner/bench-GGUF"


def shards(size: int, count: int) -> dict[str, bytes]:
    """A model of `size` bytes in so many shards."""
    return {
        f"m-Q8_0-{at + 1:05d}-of-{count:05d}.gguf": gguf_model(
            size // count // 4, ("split.no", U32, at), ("split.count", U32, count)
        )
        for at in range(count)
    }


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(mib: int, count: int) -> None:
    with local_hub.serving() as hub, tempfile.TemporaryDirectory() as folder:
        files = shards(mib << 20, count)
        commit = hub.push(REPO, files)
        tree = Tree(os.path.join(folder, "root"), "user")
        ensure(tree)
        options = Options(Hub.open(hub.endpoint, None))
        request = modelref.request({"name": "m", "source": f"{REPO}:Q8_0"})
        env = {
            **os.environ,
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": os.path.join(folder, "home"),
            "HF_HUB_DISABLE_XET": "1",
        }
        urls = [f"{hub.endpoint}/{REPO}/resolve/{commit}/{name}" for name in files]
        plain = os.path.join(folder, "plain")
        curl = "".join(f"curl -sSL -o {plain}/{at} {url} && sha256sum {plain}/{at} && " for at, url in enumerate(urls))
        os.mkdir(plain)
        found = {
            "ours, proven": timed(lambda: fetch.bring(tree, request, options)),
            "hf download": timed(
                lambda: subprocess.run(
                    ["hf", "download", REPO, "--local-dir", os.path.join(folder, "hf")],
                    env=env,
                    check=True,
                    capture_output=True,
                )
            ),
            "curl, sha256sum": timed(
                lambda: subprocess.run(["sh", "-c", curl + "true"], check=True, capture_output=True)
            ),
        }
        for name, seconds in found.items():
            ratio = seconds / found["ours, proven"]
            print(f"{name:20} {seconds:7.2f} s  {mib / seconds:7.0f} MiB/s  {ratio:5.2f}")
        many(tree, options, hub)


def many(tree: Tree, options: Options, hub: local_hub.LocalHub) -> None:
    """Twenty sets of three files each, brought once and then looked at."""
    requests = []
    for number in range(20):
        hub.push(f"owner/many{number}", shards(3 << 10, 3))
        requests.append(modelref.request({"name": f"many{number}", "source": f"owner/many{number}:Q8_0"}))
        fetch.bring(tree, requests[-1], options)
    seconds = timed(lambda: [fetch.settled(tree, request) for request in requests])
    print(f"{'20 sets of 3 files':20} {seconds * 1000:7.1f} ms when nothing is to be done")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 256, int(sys.argv[2]) if len(sys.argv) > 2 else 4)
