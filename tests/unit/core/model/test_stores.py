# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several stores: where a model is used from, where it is brought to, and what hosts that share one leave alone."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import (
    InvalidInput,
    MissingTool,
    Unreachable,
    Untrusted,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import (
    fetch,
    mirror,
    modelref,
    modelset,
    promise,
    stores,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.download import Patience
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.hub import Hub
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.modelsource import Options
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree, ensure
from fixtures.gguf_bytes import U32, gguf_file, gguf_model

TINY = tinymodel.content()
DIGEST = hashlib.sha256(TINY).hexdigest()
REPO = "owner/model-GGUF"
SHARDS = {
    f"BF16/model-BF16-0000{number + 1}-of-00002.gguf": gguf_model(
        64 + number, ("split.no", U32, number), ("split.count", U32, 2)
    )
    for number in range(2)
}
PROJECTOR = gguf_file("clip", 8)


@pytest.fixture
def tree(tmp_path):
    return made(tmp_path / "root")


def made(path) -> Tree:
    found = Tree(str(path), "user")
    ensure(found)
    return found


@pytest.fixture
def bring(hub):
    """`bring(tree, entries of stores, source, ..., offline=, writer=, resolved=, mirror=)` against the local hub."""

    def call(tree, places, source=f"{REPO}:Q8_0", name="m", entry=None, work=fetch.bring, **more):
        request = modelref.request({"name": name, "source": source, **(entry or {})})
        options = Options(
            Hub.open(hub.endpoint, None),
            stores=stores.read(tree, places),
            patience=Patience(attempts=2, pause=0.01, longest=1),
            **more,
        )
        stores.check(options.stores)
        return work(tree, request, options)

    return call


def put(folder, files):
    for name, data in files.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def below(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def test_a_model_is_used_from_the_first_store_that_has_it(tree, bring, hub, tmp_path):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    put(tmp_path / "b", {f"{REPO}/m-Q8_0.gguf": TINY})
    os.mkdir(tmp_path / "a")
    places = [{"path": str(tmp_path / "a")}, {"path": str(tmp_path / "b")}]
    found = bring(tree, places)
    assert found.changed and found.after.path == f"{tmp_path}/b/{REPO}/m-Q8_0.gguf"
    assert hub.count("cdn") == 0 and below(tree.models) == [".sets/m.json"]
    assert not bring(tree, places, offline=True).changed
    fetch.remove(tree, "m", stores=stores.read(tree, places))
    assert below(tmp_path / "b") == [f"{REPO}/m-Q8_0.gguf"]


def test_wrong_bytes_in_a_store_are_passed_over(tree, bring, hub, tmp_path):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    put(tmp_path / "a", {f"{REPO}/m-Q8_0.gguf": TINY[:-1] + b"?"})
    found = bring(tree, [{"path": str(tmp_path / "a")}])
    assert found.after.path.startswith(tree.models)
    assert Path(tmp_path, "a", REPO, "m-Q8_0.gguf").read_bytes() != TINY


def test_the_first_writable_store_takes_downloads_and_gives_them_back(tree, bring, hub, tmp_path):
    hub.push(REPO, SHARDS)
    put(tmp_path / "a", {f"{REPO}/{name}": data for name, data in list(SHARDS.items())[:1]})
    places = [{"path": str(tmp_path / "a")}, {"path": str(tmp_path / "b"), "mode": "rw"}]
    found = bring(tree, places, f"{REPO}:BF16").after
    assert below(tmp_path / "b") == [f"{REPO}/{name}" for name in SHARDS], "shards lie beside each other"
    assert [file.path for file in found.files] == [f"{tmp_path}/b/{REPO}/{name}" for name in SHARDS]
    assert below(tree.models) == [".sets/m.json"]
    fetch.remove(tree, "m", stores=stores.read(tree, places))
    assert below(tmp_path / "b") == [] and below(tmp_path / "a")


def test_model_and_projector_may_lie_in_two_stores(tree, bring, hub, tmp_path):
    hub.push(REPO, {"m-Q8_0.gguf": TINY, "mmproj-F16.gguf": PROJECTOR})
    put(tmp_path / "a", {f"{REPO}/mmproj-F16.gguf": PROJECTOR})
    found = bring(tree, [{"path": str(tmp_path / "a")}], entry={"mmproj": "auto"}).after
    assert found.path.startswith(tree.models) and found.mmproj == f"{tmp_path}/a/{REPO}/mmproj-F16.gguf"


def test_the_cache_of_another_client_is_a_store(tree, bring, hub, tmp_path):
    commit = hub.push(REPO, {"m-Q8_0.gguf": TINY})
    cache = tmp_path / "hub" / "models--owner--model-GGUF"
    put(cache, {f"blobs/{DIGEST}": TINY, "refs/main": commit.encode()})
    snapshot = cache / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "m-Q8_0.gguf").symlink_to(f"../../blobs/{DIGEST}")
    places = [{"path": str(tmp_path / "hub")}]
    found = bring(tree, places, offline=True).after
    assert (found.path, found.revision) == (str(snapshot / "m-Q8_0.gguf"), commit)
    assert hub.requests == []
    assert bring(tree, places, name="n").after.path == found.path
    assert hub.count("cdn") == 0
    with pytest.raises(Unreachable, match="offline is set"):
        bring(tree, places, name="o", offline=True, entry={"revision": "v2"})


def test_a_store_behind_a_link(tree, bring, hub, tmp_path):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    os.mkdir(tmp_path / "disk")
    os.symlink(tmp_path / "disk", tmp_path / "link")
    places = [{"path": str(tmp_path / "link"), "mode": "rw"}]
    assert bring(tree, places).after.path == f"{tmp_path}/link/{REPO}/m-Q8_0.gguf"
    fetch.remove(tree, "m", stores=stores.read(tree, places))
    assert below(tmp_path / "disk") == []


def test_a_store_that_must_be_mounted_is_refused_when_it_is_not(tree, bring, hub, tmp_path):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    for wanted in (True, str(tmp_path)):
        with pytest.raises(MissingTool, match="is not mounted"):
            bring(tree, [{"path": str(tmp_path / "a"), "mode": "rw", "require_mount": wanted}])
    assert not (tmp_path / "a").exists()
    (
        put("/dev/shm", {}),
        stores.check(stores.read(tree, [{"path": "/dev/shm/x", "mode": "rw", "require_mount": "/dev/shm"}])),
    )


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([{"path": "models"}], "cannot be a store"),
        ([{"path": "/srv/a b"}], "cannot be a store"),
        ([{"path": "/srv/a", "mode": "wr"}], "the mode 'wr'"),
        ([{"path": "/srv/a", "sharde": True}], "no key 'sharde'"),
        ([{"path": "/srv/a"}, {"path": "/srv/a/"}], "twice"),
        ([{"path": "/srv/a", "require_mount": "/mnt"}], "a folder above it"),
    ],
)
def test_stores_that_cannot_be(tree, entries, reason):
    with pytest.raises(InvalidInput, match=reason):
        stores.read(tree, entries)


def test_a_store_that_is_not_there(tree, tmp_path):
    with pytest.raises(MissingTool, match="is not there"):
        stores.check(stores.read(tree, [{"path": str(tmp_path / "none")}]))


# ------------------------------------------------------------------ shared


def test_hosts_that_share_a_store_do_not_disturb_each_other(bring, hub, tmp_path):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    places = [{"path": str(tmp_path / "shared"), "mode": "rw", "shared": True}]
    trees = [made(tmp_path / name) for name in ("one", "two")]
    with ThreadPoolExecutor(2) as pool:
        found = [run.result().after for run in [pool.submit(bring, tree, places) for tree in trees]]
    assert found[0].path == found[1].path and Path(found[0].path).read_bytes() == TINY
    assert [name for name in below(tmp_path / "shared") if ".part-" in name] == []
    fetch.remove(trees[0], "m", stores=stores.read(trees[0], places))
    modelset.check(modelset.load(trees[1], "m"))


def test_a_new_revision_in_a_shared_store_replaces_nothing(tree, bring, hub, tmp_path):
    places = [{"path": str(tmp_path / "shared"), "mode": "rw", "shared": True}]
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    old = bring(tree, places).after
    new = hub.push(REPO, {"m-Q8_0.gguf": gguf_model(9)})
    found = bring(tree, places, entry={"state": "latest"}).after
    assert found.path == f"{tmp_path}/shared/{REPO}@{new[:12]}/m-Q8_0.gguf"
    modelset.check(old)


def test_a_host_that_may_not_write_says_who_must(tree, bring, hub, tmp_path):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    places = [{"path": str(tmp_path / "shared"), "mode": "rw", "shared": True}]
    with pytest.raises(Unreachable, match="this host may not write there"):
        bring(tree, places, writer=False)
    assert not (tmp_path / "shared").exists()
    bring(made(tmp_path / "other"), places)
    assert bring(tree, places, writer=False).changed
    assert hub.count("cdn") == 1


# ------------------------------------------------------------------ mirror, and what another host found out


def test_a_mirror_saves_the_way_and_gets_no_token(tree, bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY, "n-Q4_0.gguf": TINY})
    hub.plain[f"store/{REPO}/m-Q8_0.gguf"] = TINY
    bring(tree, [], mirror=mirror.read(f"{hub.cdn}/store/"))
    bring(tree, [], f"{REPO}:Q4_0", name="n", mirror=mirror.read(f"{hub.cdn}/store"))
    asked = [path for server, _method, path, _authorization in hub.requests if server == "cdn"]
    assert asked[0] == f"/store/{REPO}/m-Q8_0.gguf" and asked[-1].endswith("n-Q4_0.gguf") and len(asked) == 5


def test_a_folder_as_mirror_is_gone_on_with(tree, bring, hub, tmp_path):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    put(tmp_path / "usb", {f"{REPO}/m-Q8_0.gguf": TINY})
    put(tree.models, {f"{REPO}/.part-m.{DIGEST}": TINY[:1000]})
    assert Path(bring(tree, [], mirror=mirror.read(f"{tmp_path}/usb")).after.path).read_bytes() == TINY
    assert hub.count("cdn") == 0


def test_wrong_bytes_of_a_mirror_are_fetched_from_the_source(tree, bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    hub.plain[f"store/{REPO}/m-Q8_0.gguf"] = TINY[:-1] + b"?"
    assert bring(tree, [], mirror=mirror.read(f"{hub.cdn}/store")).after.files[0].sha256 == DIGEST
    with pytest.raises(Unreachable, match="offline is set"):
        bring(tree, [], "https://x.invalid/m.gguf", "u", {"checksum": DIGEST}, mirror=hub.cdn, offline=True)


@pytest.mark.parametrize("value", ["ftp://x", "http://u:p@x/", "https://x/a?b=c", "store"])
def test_a_mirror_that_cannot_be_one(value):
    with pytest.raises(InvalidInput):
        mirror.read(value)


def test_what_another_host_resolved_is_brought_without_the_hub(tree, bring, hub, tmp_path):
    hub.push(REPO, {**SHARDS, "m-Q8_0.gguf": TINY, "mmproj-F16.gguf": PROJECTOR})
    other = made(tmp_path / "other")
    first = bring(other, [], f"{REPO}:BF16", entry={"mmproj": "auto"}).after
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    hub.requests.clear()
    resolved = promise.read({"m": first.resolved()})
    missing = bring(tree, [], f"{REPO}:BF16", entry={"mmproj": "auto"}, resolved=resolved, work=fetch.missing)
    for item in missing:
        put("/", {item["part"]: Path(other.models, item["name"]).read_bytes()})
    done = bring(tree, [], f"{REPO}:BF16", entry={"mmproj": "auto"}, resolved=resolved, offline=True)
    assert [file.sha256 for file in done.after.files] == [file.sha256 for file in first.files]
    assert (done.after.revision, hub.requests) == (first.revision, [])
    again = {"entry": {"mmproj": "auto"}, "resolved": resolved}
    assert not bring(tree, [], f"{REPO}:BF16", offline=True, **again).changed
    assert bring(tree, [], f"{REPO}:BF16", work=fetch.missing, **again) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"source": "owner/other:Q8_0"}, "owner/other:Q8_0 was resolved"),
        ({"revision": "0" * 40}, None),
        ({"revision": "main"}, "full commit"),
        ({"files": []}, "does not begin"),
        ({"files": [{"name": "../x.gguf", "size": 1, "sha256": DIGEST, "role": "model"}]}, "cannot be one"),
        ({"files": [{"name": "a/b/x.gguf", "size": 1, "sha256": DIGEST, "role": "model"}]}, "a/b/x.gguf was resolved"),
        ({"files": [{"name": f"{REPO}/x.gguf", "size": 0, "sha256": DIGEST, "role": "model"}]}, "cannot be one"),
        ({"files": [7]}, "cannot be one"),
    ],
)
def test_what_was_resolved_is_not_believed_blindly(change, reason):
    file = {"name": f"{REPO}/m-Q8_0.gguf", "size": 5, "sha256": DIGEST, "role": "model"}
    value = {"m": {"source": f"{REPO}:Q8_0", "revision": "1" * 40, "files": [file], **change}}
    request = modelref.request({"name": "m", "source": f"{REPO}:Q8_0"})
    if reason is None:
        return promise.check(request, promise.read(value)["m"])
    with pytest.raises(InvalidInput, match=reason):
        promise.check(request, promise.read(value)["m"])
    return None


def test_a_pin_binds_what_was_resolved(tree, bring):
    file = {"name": f"{REPO}/m-Q8_0.gguf", "size": 5, "sha256": DIGEST, "role": "model"}
    resolved = promise.read({"m": {"source": f"{REPO}:Q8_0", "revision": "1" * 40, "files": [file]}})
    with pytest.raises(InvalidInput, match="was resolved"):
        bring(tree, [], entry={"revision": "2" * 40}, resolved=resolved)
    with pytest.raises(Untrusted, match="was asked for"):
        bring(tree, [], entry={"checksum": "0" * 64}, resolved=resolved)
