# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing sets onto a host: from files, from web servers and from a hub on loopback, with the real hub client."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import (
    Busy,
    InvalidInput,
    MissingTool,
    Unreachable,
    Untrusted,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import fetch, modelref, modelset
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.download import Patience
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.hub import Hub
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.modelsource import Options
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.tree import Tree, ensure
from fixtures.gguf_bytes import U32, gguf_file, gguf_model

TINY = tinymodel.content()
DIGEST = hashlib.sha256(TINY).hexdigest()
REPO = "owner/model-GGUF"
SHORT = Patience(attempts=3, pause=0.01, longest=1)
SHARDS = {
    f"BF16/model-BF16-0000{number + 1}-of-00002.gguf": gguf_model(
        64 + number, ("split.no", U32, number), ("split.count", U32, 2)
    )
    for number in range(2)
}


@pytest.fixture
def tree(tmp_path):
    tree = Tree(str(tmp_path / "root"), "user")
    ensure(tree)
    return tree


@pytest.fixture
def bring(tree, hub):
    """`bring(name, source, ..., offline=, verify=, token=)` against the local hub."""

    def call(name, source, offline=False, verify=False, token=None, patience=SHORT, **entry):
        request = modelref.request({"name": name, "source": source, **entry})
        options = Options(Hub.open(hub.endpoint, token), offline, verify, patience=patience)
        return fetch.bring(tree, request, options)

    return call


def files_below(folder: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def nothing_half_done(tree) -> bool:
    return not list(Path(tree.models).rglob(".part-*"))


def test_the_builtin_model(tree, bring):
    first = bring("tiny", "builtin:tiny")
    assert (first.changed, first.before) == (True, None)
    assert first.after.path == os.path.join(tree.models, "builtin", "tiny.gguf")
    assert (first.after.architecture, first.after.context_length) == ("llama", tinymodel.CONTEXT_LENGTH)
    assert first.after.files[0].sha256 == DIGEST
    assert modelset.load(tree, "tiny") == first.after
    second = bring("tiny", "builtin:tiny", offline=True)
    assert (second.changed, second.after) == (False, first.after)


def test_a_local_file_is_used_in_place_and_never_removed(tree, bring, tmp_path):
    path = tmp_path / "my model.gguf"
    path.write_bytes(TINY)
    found = bring("mine", str(path)).after
    assert (found.path, found.files[0].sha256) == (str(path), DIGEST)
    assert files_below(tree.models) == [".sets/mine.json"]
    fetch.remove(tree, "mine")
    assert path.exists()
    assert files_below(tree.models) == []


@pytest.mark.parametrize("shard", SHARDS)
def test_local_shards_are_found_by_any_of_them(bring, tmp_path, shard):
    for name, data in SHARDS.items():
        (tmp_path / os.path.basename(name)).write_bytes(data)
    found = bring("mine", str(tmp_path / os.path.basename(shard))).after
    assert [os.path.basename(file.path) for file in found.files] == [os.path.basename(name) for name in SHARDS]
    assert found.path == found.files[0].path


def test_a_local_pattern_means_one_model(tree, bring, tmp_path):
    for name, data in {**SHARDS, ".x/a-Q8_0.gguf": TINY, ".x/mmproj-F16.gguf": gguf_file("clip", 8)}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    found = bring("m", f"{tmp_path}/*/*BF16*.gguf").after
    assert [os.path.relpath(file.path, tmp_path) for file in found.files] == list(SHARDS)
    assert not bring("m", f"{tmp_path}/*/*BF16*.gguf").changed
    assert bring("n", f"{tmp_path}/.x/*.gguf", mmproj="auto").after.mmproj == f"{tmp_path}/.x/mmproj-F16.gguf"
    (tmp_path / ".x" / "b-Q8_0.gguf").write_bytes(TINY)
    with pytest.raises(InvalidInput, match="has 2 models .*a-Q8_0.gguf .*b-Q8_0.gguf"):
        bring("o", f"{tmp_path}/.x/*Q8_0.gguf")
    with pytest.raises(InvalidInput, match="no GGUF model at all"):
        bring("o", f"{tmp_path}/none/*.gguf")
    assert modelset.load(tree, "o") is None


def test_a_local_file_that_changes_is_an_error_that_says_so(bring, tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(TINY)
    bring("mine", str(path))
    path.write_bytes(gguf_model(8))
    with pytest.raises(Untrusted, match="state: absent"):
        bring("mine", str(path))


@pytest.mark.parametrize(
    ("data", "entry", "error"),
    [
        (TINY[:-5], {}, Untrusted),
        (b"GGUF", {}, Untrusted),
        (TINY, {"checksum": "0" * 64}, Untrusted),
        (None, {}, InvalidInput),
    ],
    ids=["truncated", "damaged", "wrong checksum", "missing"],
)
def test_a_local_file_that_is_not_what_it_should_be(tree, bring, tmp_path, data, entry, error):
    path = tmp_path / "m.gguf"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(error):
        bring("mine", str(path), **entry)
    assert modelset.load(tree, "mine") is None


def test_a_url(tree, bring, hub):
    hub.plain["dir/a.gguf"] = TINY
    found = bring("a", f"{hub.cdn}/dir/a.gguf?sig=secret", checksum=f"sha256:{DIGEST}").after
    assert found.path == os.path.join(tree.models, "url", DIGEST[:12], "a.gguf")
    assert "secret" not in Path(tree.sets, "a.json").read_text()
    assert stat.S_IMODE(os.stat(found.path).st_mode) == 0o644
    again = bring("a", "https://another.invalid/b.gguf", checksum=DIGEST)
    assert not again.changed
    assert hub.count("cdn") == 1


@pytest.mark.parametrize(
    ("path", "fault", "error", "reason"),
    [
        ("none.gguf", {}, Unreachable, "status 404"),
        ("a.gguf", {"errors": [(500, {})] * 3}, Unreachable, "status 500"),
        ("a.gguf", {"corrupt": {"a.gguf"}}, Untrusted, "was promised"),
        ("text.gguf", {}, Untrusted, "not a usable GGUF"),
    ],
    ids=["missing", "errors", "other bytes", "no model"],
)
def test_a_url_that_fails_leaves_nothing(tree, bring, hub, path, fault, error, reason):
    hub.plain.update({"a.gguf": TINY, "text.gguf": b"<html>"})
    vars(hub).update(fault)
    digest = hashlib.sha256(b"<html>" if path == "text.gguf" else TINY).hexdigest()
    with pytest.raises(error, match=reason):
        bring("a", f"{hub.cdn}/{path}", checksum=digest)
    assert files_below(tree.models) == []


def test_a_quantisation_of_a_repository(tree, bring, hub):
    commit = hub.push(REPO, {"model-Q4_K_M.gguf": TINY, "model-Q4_K.gguf": gguf_model(8), "README.md": b"x"})
    first = bring("m", f"{REPO}:q4_k_m")
    assert first.after.revision == commit
    assert first.after.path == os.path.join(tree.models, REPO, "model-Q4_K_M.gguf")
    assert files_below(tree.models) == [".sets/m.json", f"{REPO}/model-Q4_K_M.gguf"]
    asked = len(hub.requests)
    hub.push(REPO, {"model-Q4_K_M.gguf": gguf_model(9)})
    assert not bring("m", f"{REPO}:q4_k_m").changed, "a branch that moves changes nothing"
    assert len(hub.requests) == asked, "a settled set asks nobody"


def test_shards_come_as_a_set_and_go_as_one(tree, bring, hub):
    hub.push(REPO, SHARDS)
    found = bring("m", REPO, files=list(SHARDS)[1:]).after
    assert [os.path.relpath(file.path, tree.models) for file in found.files] == [f"{REPO}/{name}" for name in SHARDS]
    assert found.parameters == 64 + 65
    fetch.remove(tree, "m")
    assert files_below(tree.models) == []
    assert os.listdir(tree.models) == [".sets"]


def test_a_revision_is_a_branch_a_tag_or_a_commit(bring, hub):
    old = hub.push(REPO, {"m-Q8_0.gguf": TINY}, "v1")
    hub.push(REPO, {"m-Q8_0.gguf": gguf_model(8)})
    assert bring("m", f"{REPO}:Q8_0", revision="v1").after.revision == old
    moved = bring("m", f"{REPO}:Q8_0", revision=old)
    assert not moved.changed, "another way to ask for the same files"
    assert (moved.after.files[0].sha256, moved.after.request["revision"]) == (DIGEST, old)
    with pytest.raises(InvalidInput, match="no revision 'v9'"):
        bring("m", f"{REPO}:Q8_0", revision="v9")


def test_latest_asks_and_brings_only_what_differs(tree, bring, hub):
    old = hub.push(REPO, {**SHARDS, "README.md": b"1"})
    assert bring("m", f"{REPO}:BF16", state="latest").after.revision == old
    new = hub.push(REPO, {**SHARDS, "README.md": b"2"})
    same = bring("m", f"{REPO}:BF16", state="latest")
    assert (same.changed, same.after.revision) == (False, new)
    assert modelset.load(tree, "m").revision == new
    last = list(SHARDS)[1]
    third = hub.push(REPO, {**SHARDS, last: gguf_model(99, ("split.no", U32, 1), ("split.count", U32, 2))})
    assert not bring("m", f"{REPO}:BF16").changed
    assert not bring("m", f"{REPO}:BF16", state="latest", offline=True).changed
    request = modelref.request({"name": "m", "source": f"{REPO}:BF16", "state": "latest"})
    hub.requests.clear()
    seen = fetch.foresee(tree, request, Options(Hub.open(hub.endpoint, None)))
    assert (seen.changed, seen.before.revision, seen.after.revision) == (True, new, third)
    done = bring("m", f"{REPO}:BF16", state="latest")
    assert done.changed and done.after.content() == seen.after.content()
    assert hub.count("cdn") == 1


def test_a_pin_brings_the_same_files_and_changes_nothing(bring, hub, tree):
    files = {
        "a/m-Q8_0.gguf": TINY,
        "a/mmproj-F16.gguf": gguf_file("clip", 8),
        "a/mmproj-F32.gguf": gguf_file("clip", 9),
    }
    commit = hub.push(REPO, files)
    found = bring("m", f"{REPO}:Q8_0", mmproj="auto").after
    pin = found.pin()
    assert pin == {
        "source": f"{REPO}:Q8_0",
        "revision": commit,
        "checksum": f"sha256:{DIGEST}",
        "mmproj": "a/mmproj-F16.gguf",
    }
    hub.push(REPO, {"a/m-Q8_0.gguf": gguf_model(9)})
    asked = hub.count("cdn")
    pinned = bring("m", **pin)
    assert not pinned.changed and pinned.after.files == found.files
    assert hub.count("cdn") == asked
    fetch.remove(tree, "m")
    assert bring("m", **pin).after.content() == found.content()


def test_a_pin_of_shards_and_of_a_local_model(bring, hub, tmp_path):
    commit = hub.push(REPO, SHARDS)
    files = list(SHARDS)[:1]
    assert bring("m", REPO, files=files).after.pin() == {"source": REPO, "files": files, "revision": commit}
    (tmp_path / "m.gguf").write_bytes(TINY)
    pin = bring("mine", str(tmp_path / "m.gguf")).after.pin()
    assert pin == {"source": str(tmp_path / "m.gguf"), "checksum": f"sha256:{DIGEST}"}


def test_two_sets_share_a_file_or_are_told_that_they_cannot(tree, bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY}, "v1")
    hub.push(REPO, {"m-Q8_0.gguf": gguf_model(8)})
    bring("one", f"{REPO}:Q8_0", revision="v1")
    bring("two", REPO, files=["m-Q8_0.gguf"], revision="v1")
    assert hub.count("cdn") == 1
    with pytest.raises(InvalidInput, match="belongs to the model 'one'"):
        bring("three", f"{REPO}:Q8_0")
    fetch.remove(tree, "one")
    assert modelset.load(tree, "two").files[0].sha256 == DIGEST
    modelset.check(modelset.load(tree, "two"))


@pytest.mark.parametrize(
    "damage", [os.unlink, lambda path: os.truncate(path, 9), lambda path: Path(path).write_text("x")]
)
def test_a_damaged_file_of_the_hub_is_fetched_again(bring, hub, damage):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    path = bring("m", f"{REPO}:Q8_0").after.path
    damage(path)
    assert bring("m", f"{REPO}:Q8_0").changed
    assert Path(path).read_bytes() == TINY


def test_a_file_that_was_only_touched_is_believed_after_a_look(tree, bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    path = bring("m", f"{REPO}:Q8_0").after.path
    asked = len(hub.requests)
    os.utime(path, ns=(1, 1))
    request = modelref.request({"name": "m", "source": f"{REPO}:Q8_0"})
    assert fetch.settled(tree, request) is None
    assert not bring("m", f"{REPO}:Q8_0", offline=True).changed
    assert fetch.settled(tree, request)
    assert len(hub.requests) == asked


def test_verify_finds_what_kept_its_time_and_mends_it(bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    path = bring("m", f"{REPO}:Q8_0").after.path
    state = os.stat(path)
    with open(path, "r+b") as file:
        file.write(b"XXXX")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert not bring("m", f"{REPO}:Q8_0").changed
    assert bring("m", f"{REPO}:Q8_0", verify=True).changed
    assert Path(path).read_bytes() == TINY


def test_a_download_that_is_cut_goes_on(bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    hub.cuts = 1
    assert bring("m", f"{REPO}:Q8_0").after.files[0].sha256 == DIGEST
    assert hub.count("cdn") == 2


def test_other_bytes_than_the_hub_promised_leave_the_old_set(tree, bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY}, "v1")
    hub.push(REPO, {"m-Q8_0.gguf": gguf_model(8)}, "v2")
    old = bring("m", f"{REPO}:Q8_0", revision="v1").after
    hub.corrupt.add("m-Q8_0.gguf")
    with pytest.raises(Untrusted, match="was promised"):
        bring("m", f"{REPO}:Q8_0", revision="v2")
    assert modelset.load(tree, "m") == old
    modelset.check(old)
    assert nothing_half_done(tree)


def test_one_bad_shard_keeps_all_shards_away(tree, bring, hub):
    hub.push(REPO, SHARDS)
    hub.corrupt.add(os.path.basename(list(SHARDS)[1]))
    with pytest.raises(Untrusted, match="It was fetched twice"):
        bring("m", f"{REPO}:BF16")
    assert not [name for name in files_below(tree.models) if ".part-" not in name]
    hub.corrupt.clear()
    hub.requests.clear()
    bring("m", f"{REPO}:BF16")
    assert hub.count("cdn") == 1, "the good shard is not fetched again"
    assert nothing_half_done(tree)


def test_the_token_reaches_the_hub_and_nobody_else(tree, bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    hub.repos[REPO].token = "hf_secret"
    hub.repos[REPO].gated = True
    with pytest.raises(InvalidInput, match="gated") as caught:
        bring("m", f"{REPO}:Q8_0", token="hf_wrong")
    assert "hf_wrong" not in str(caught.value)
    bring("m", f"{REPO}:Q8_0", token="hf_secret")
    sent = {(server, authorization) for server, _method, _path, authorization in hub.requests}
    assert sent == {("hub", "Bearer hf_wrong"), ("hub", "Bearer hf_secret"), ("cdn", "")}
    assert "secret" not in Path(tree.sets, "m.json").read_text()


def test_a_repository_that_is_not_shown(bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    hub.repos[REPO].token = "hf_secret"
    for repo in (REPO, "owner/none"):
        with pytest.raises(InvalidInput, match="knows no repository .*token_file"):
            bring("m", f"{repo}:Q8_0")


def test_offline_never_asks(bring, hub):
    with pytest.raises(Unreachable, match="offline is set"):
        bring("m", f"{REPO}:Q8_0", offline=True)
    with pytest.raises(Unreachable, match="offline is set"):
        bring("m", f"{hub.cdn}/a.gguf", checksum=DIGEST, offline=True)
    assert hub.requests == []


def test_a_hub_that_does_not_answer(tree):
    request = modelref.request({"name": "m", "source": f"{REPO}:Q8_0"})
    with pytest.raises(Unreachable, match="Check the network"):
        fetch.bring(tree, request, Options(Hub.open("http://127.0.0.1:9", None), patience=SHORT))


@pytest.mark.parametrize(("endpoint", "token"), [("ftp://x", None), ("http://u:p@x", None), (None, "two\nlines")])
def test_an_endpoint_or_token_that_cannot_be_one(endpoint, token):
    with pytest.raises(InvalidInput) as caught:
        Hub.open(endpoint, token)
    assert "lines" not in str(caught.value).replace("one line", "")


def test_a_file_listed_outside_of_the_repository_is_never_chosen(tree, bring, hub):
    hub.push(REPO, {"../../../evil-Q8_0.gguf": TINY, "a/../b-Q8_0.gguf": TINY, ".hidden-Q8_0.gguf": TINY})
    with pytest.raises(InvalidInput, match="no GGUF model at all"):
        bring("m", f"{REPO}:Q8_0")


def test_what_a_killed_run_left_is_gone_on_with_or_swept(tree, bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    folder = Path(tree.models, REPO)
    folder.mkdir(parents=True)
    (folder / f".part-m.{DIGEST}").write_bytes(TINY[:200_000])
    (folder / f".part-m.{'0' * 64}").write_bytes(b"of another revision")
    (folder / f".part-other.{'0' * 64}").write_bytes(b"of another set")
    bring("m", f"{REPO}:Q8_0")
    assert hub.ranges == ["bytes=200000-"]
    assert files_below(str(folder)) == [f".part-other.{'0' * 64}", "m-Q8_0.gguf"]


def test_wrong_bytes_of_a_killed_run_cost_one_more_download_and_no_more(tree, bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    folder = Path(tree.models, REPO)
    folder.mkdir(parents=True)
    (folder / f".part-m.{DIGEST}").write_bytes(b"X" * 200_000)
    assert bring("m", f"{REPO}:Q8_0").after.files[0].sha256 == DIGEST
    assert hub.ranges == ["bytes=200000-", ""]


def test_a_hub_that_offers_xet_gives_the_same_bytes_over_http(bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    hub.xet = True
    assert bring("m", f"{REPO}:Q8_0").after.files[0].sha256 == DIGEST
    assert not [path for _server, _method, path, _authorization in hub.requests if "xet" in path]


def test_a_server_without_ranges_starts_again(bring, hub, tree):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    hub.no_ranges, hub.cuts = True, 1
    assert Path(bring("m", f"{REPO}:Q8_0").after.path).read_bytes() == TINY


def test_a_wrong_range_is_never_written(tree, bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    hub.shifted, hub.cuts = True, 1
    with pytest.raises(Untrusted, match="answered with Content-Range"):
        bring("m", f"{REPO}:Q8_0")
    hub.shifted = False
    assert bring("m", f"{REPO}:Q8_0").changed


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says(bring, hub, status):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    hub.errors = [(status, {"Retry-After": "0"})] * 2
    assert bring("m", f"{REPO}:Q8_0").changed


def test_a_server_that_wants_too_long_a_pause_is_given_up(bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    hub.errors = [(429, {"Retry-After": "3600"})]
    with pytest.raises(Unreachable, match="status 429"):
        bring("m", f"{REPO}:Q8_0")


def test_a_slow_server_is_given_up(bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    hub.drip = 0.02
    with pytest.raises(Unreachable, match="too slow"):
        bring("m", f"{REPO}:Q8_0", patience=Patience(attempts=2, pause=0, window=0.2))


def test_a_server_that_falls_silent_is_given_up(bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    hub.hang = threading.Event()
    with pytest.raises(Unreachable, match="timed out"):
        bring("m", f"{REPO}:Q8_0", patience=Patience(attempts=1, timeout=0.2))


def test_a_file_longer_than_promised_is_refused(tree, bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    hub.repos[REPO].sizes["m-Q8_0.gguf"] = 1000
    with pytest.raises(Unreachable, match=f"has {len(TINY)} bytes; 1000 were promised"):
        bring("m", f"{REPO}:Q8_0")
    assert files_below(tree.models) == []


def test_names_with_spaces_and_unicode(tree, bring, hub):
    names = ["Ein Modell größer-Q8_0.gguf", "ein %2e#?&-Q4_0.gguf"]
    hub.push(REPO, dict.fromkeys(names, TINY))
    for number, quant in enumerate(("Q8_0", "Q4_0")):
        found = bring(f"m{number}", f"{REPO}:{quant}").after
        assert found.path == os.path.join(tree.models, REPO, names[number])
        assert Path(found.path).read_bytes() == TINY


def test_a_models_folder_behind_a_link(tree, bring, hub, tmp_path):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    os.rename(tree.models, tmp_path / "disk")
    os.symlink(tmp_path / "disk", tree.models)
    assert bring("m", f"{REPO}:Q8_0").after.path.startswith(tree.models)
    assert not bring("m", f"{REPO}:Q8_0").changed
    fetch.remove(tree, "m")
    assert files_below(str(tmp_path / "disk")) == []


def test_a_set_that_another_run_works_on_is_waited_for(tree, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    request = modelref.request({"name": "m", "source": f"{REPO}:Q8_0"})
    hub.hang = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        options = Options(Hub.open(hub.endpoint, None), patience=SHORT)
        runs = [pool.submit(fetch.bring, tree, request, options) for _run in range(2)]
        while not hub.count("cdn"):
            time.sleep(0.01)
        with pytest.raises(Busy, match="gguf_model m"):
            fetch.bring(tree, request, Options(options.hub, wait=0))
        hub.hang.set()
        hub.hang = None
        assert sorted(run.result().changed for run in runs) == [False, True]
    assert hub.ranges[0] == "" and all(hub.ranges[1:]), "nothing is fetched twice"


def test_a_model_with_its_projector_and_draft(tree, bring, hub):
    projector = gguf_file("clip", 8)
    files = {"m-Q8_0.gguf": TINY, "mmproj-F16.gguf": projector, "mtp-m-Q8_0.gguf": gguf_model(9)}
    hub.push(REPO, {**files, "mmproj-BF16.gguf": gguf_file("clip", 9)})
    found = bring("m", f"{REPO}:Q8_0", mmproj="auto", draft="mtp-m-Q8_0.gguf").after
    assert [(os.path.basename(file.path), file.role) for file in found.files] == list(
        zip(files, ("model", "mmproj", "draft"))
    )
    assert (found.mmproj, found.draft) == (found.files[1].path, found.files[2].path)
    assert found.architecture == "llama" and found.path == found.files[0].path
    assert modelset.load(tree, "m") == found
    assert found.facts()["mmproj"] == found.mmproj
    assert bring("m", f"{REPO}:Q8_0").after.mmproj is None


def test_a_local_model_with_its_projector(bring, tmp_path):
    (tmp_path / "m.gguf").write_bytes(TINY)
    (tmp_path / "mmproj-f16.gguf").write_bytes(gguf_file("clip", 8))
    (tmp_path / "d.gguf").write_bytes(gguf_model(9))
    for asked in ("auto", str(tmp_path / "mmproj-f16.gguf")):
        found = bring("m", str(tmp_path / "m.gguf"), mmproj=asked, draft="d.gguf").after
        assert (found.mmproj, found.draft) == (str(tmp_path / "mmproj-f16.gguf"), str(tmp_path / "d.gguf"))


@pytest.mark.parametrize(("model", "projector"), [("clip", "clip"), ("llama", "llama")])
def test_a_file_in_a_role_that_it_cannot_have(tree, bring, hub, model, projector):
    hub.push(REPO, {"m-Q8_0.gguf": gguf_file(model, 8), "mmproj-F16.gguf": gguf_file(projector, 9)})
    with pytest.raises(Untrusted, match="clip"):
        bring("m", f"{REPO}:Q8_0", mmproj="auto")
    assert files_below(tree.models) == []


def test_a_full_disk_is_noticed_before_the_first_byte(tree, bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    hub.repos[REPO].sizes["m-Q8_0.gguf"] = 1 << 60
    with pytest.raises(MissingTool, match="are needed"):
        bring("m", f"{REPO}:Q8_0")
    assert hub.count("cdn") == 0


def test_check_mode_foresees_what_is_done(tree, bring, hub):
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    options = Options(Hub.open(hub.endpoint, None))
    for source in ("builtin:tiny", f"{REPO}:Q8_0"):
        request = modelref.request({"name": "m", "source": source})
        seen = fetch.foresee(tree, request, options)
        assert seen.changed and modelset.load(tree, "m") is None
        done = bring("m", source)
        assert [(file.path, file.size, file.sha256) for file in seen.after.files] == [
            (file.path, file.size, file.sha256) for file in done.after.files
        ]
        assert not fetch.foresee(tree, request, options).changed
        fetch.remove(tree, "m")
    assert hub.count("cdn") == 1


def test_the_rights_of_models_in_the_system_scope(tree, hub):
    if os.geteuid() != 0:
        pytest.skip("the system scope needs root")
    system = Tree(tree.root, "system")
    hub.push(REPO, {"m-Q8_0.gguf": TINY})
    request = modelref.request({"name": "m", "source": f"{REPO}:Q8_0"})
    path = fetch.bring(system, request, Options(Hub.open(hub.endpoint, None))).after.path
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o640
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o2750
