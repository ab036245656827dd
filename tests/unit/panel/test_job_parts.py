# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs without a process: what they may be given, their order, their events and how they end."""

from __future__ import annotations

import json

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from llamaops_panel.jobs import command, queue, texts
from llamaops_panel.jobs.events import Account
from llamaops_panel.jobs.job import Job
from llamaops_panel.jobs.journal import FILE, Reader, Writer
from llamaops_panel.jobs.operations import get, operations
from llamaops_panel.jobs.specs import COLLECTION


def job(name, hosts="a", state="queued", check=False):
    return Job(name, "deploy", tuple(hosts), {}, check, "ann", (), state, created=float(name))


# ---- operations


def test_every_operation_is_a_playbook_of_the_collection():
    assert len(operations()) > 15
    for operation in operations().values():
        assert (COLLECTION / "playbooks" / f"{operation.playbook}.yml").is_file()
        assert operation.title and operation.help and operation.needs in ("operator", "admin")
        for field in operation.fields:
            assert field.help and not any(mark in field.help for mark in ("V(", "C(", "O(", "M(")), field
    json.dumps([operation.document() for operation in operations().values()])


def test_the_values_of_a_role_come_from_its_own_specification():
    backend = next(field for field in get("build").fields if field.name == "backend")
    assert (backend.variable, backend.choices) == ("llama_build_backend", ("auto", "cpu", "cuda", "hip", "vulkan"))
    assert "never a host that computes with its CPU" in backend.help


@pytest.mark.parametrize(
    ("name", "given", "variables"),
    [
        ("stop", {"instance": ["chat", "embed"]}, {"instance": "chat,embed"}),
        ("deploy", {"instance": None}, {}),
        ("gc", {}, {"gc": True}),
        ("activate", {"build": "b1"}, {"llama_rollback_to": "b1"}),
        (
            "build",
            {"jobs": "4", "architectures": "86, 90"},
            {"llama_build_jobs": 4, "llama_build_architectures": ["86", "90"]},
        ),
        (
            "download",
            {"source": "Qwen/Qwen3-8B-GGUF:Q4_K_M", "mmproj": "auto"},
            {
                "llama_models_sets": {"qwen3-8b-q4-k-m": {"source": "Qwen/Qwen3-8B-GGUF:Q4_K_M", "mmproj": "auto"}},
                "llama_models_instances": [],
            },
        ),
    ],
)
def test_what_is_given_becomes_variables(name, given, variables):
    found = get(name).variables(given)
    if name == "download":
        found["llama_models_sets"] = {
            next(iter(variables["llama_models_sets"])): [*found["llama_models_sets"].values()][0]
        }
    assert found == variables


@pytest.mark.parametrize(
    ("name", "given", "why"),
    [
        ("stop", {}, "needs instance"),
        ("stop", {"instance": ["a,b"]}, "list of names"),
        ("build", {"backend": "tpu"}, "Possible: auto"),
        ("build", {"jobs": True}, "must be a number"),
        ("build", {"beckend": "cpu"}, "Did you mean backend"),
        ("cordon", {"reason": "{{ lookup('pipe', 'id') }}"}, "template"),
        ("build", {"cmake_options": {"a": {"b": ["{% x %}"]}}}, "template"),
        ("cordon", {"reason": "a\nb"}, "one line"),
        ("cordon", {"reason": "x" * 70_000}, "more than"),
        ("bench", {"tests": {"n_prompt": {1, 2}}}, "no kind of value"),
    ],
)
def test_what_is_wrong_is_refused_by_name(name, given, why):
    with pytest.raises(InvalidInput, match=why):
        get(name).variables(given)


def test_nesting_has_an_end():
    deep = {}
    for _level in range(50):
        deep = {"a": deep}
    with pytest.raises(InvalidInput, match="too deeply"):
        get("build").variables({"cmake_options": deep})


def test_the_command_can_be_read_and_pasted():
    assert command.line("stop", ["-i", "inv"], ["a", "b"], {"instance": "chat"}, True) == [
        *("ansible-playbook", "-i", "inv", "llamaops.llama_cpp.stop", "--limit", "a,b"),
        *("-e", '{"instance": "chat"}', "--check", "--diff"),
    ]


@pytest.mark.parametrize(
    "host", ["all", "a,b", "@file", "-x", "~x", "a b", "*", "!a", "", "a:b", "$(id)", "../x", None]
)
def test_no_host_is_a_pattern(host):
    with pytest.raises(InvalidInput):
        command.known_hosts([host], {"a"} | ({host} - {"all", "../x"}))


def test_a_job_has_hosts():
    with pytest.raises(InvalidInput, match="No host"):
        command.known_hosts([], {"a"})
    assert command.known_hosts(["b", "a", "b"], {"a", "b"}) == ["a", "b"]


# ---- the queue


def test_one_change_a_host_in_the_order_in_which_they_were_asked_for():
    one, two, three, four = job("1", "ab", "running"), job("2", "bc"), job("3", "c"), job("4", "d")
    assert queue.ready([four, three, two, one]) == [four]
    assert queue.waits_for(three, [one, two, three]) == ["2"]
    assert queue.ready([two, three, four]) == [two, four]


def test_checks_run_beside_changes_up_to_a_number():
    running = job("1", "a", "running")
    checks = [job(str(number), "a", check=True) for number in range(2, 9)]
    assert queue.ready([running, *checks], checks=4) == checks[:4]
    assert queue.ready([running, job("9", "b"), job("10", "c")], changes=2) == [job("9", "b")]


# ---- events


def ran(kind, host, task="Deploy", **res):
    return {
        "event": f"runner_on_{kind}",
        "event_data": {"host": host, "task": task, "task_action": "llamaops.x.y", "res": res},
    }


def test_results_become_events():
    account = Account(["a"], False)
    (event,) = account.take(
        ran(
            "ok",
            "a",
            changed=True,
            msg="did it",
            orphans=["x"],
            diff={"before": "1\n", "after": "2\n", "after_header": "f"},
        )
    )
    assert (event["kind"], event["text"], event["data"]) == ("changed", "did it", {"orphans": ["x"]})
    assert event["diff"].splitlines()[1:] == ["+++ f", "@@ -1 +1 @@", "-1", "+2"]


def test_lines_of_long_work_are_progress_of_their_host():
    account = Account(["a"], False)
    account.take({"event": "runner_on_start", "event_data": {"host": "a", "task": "Build"}})
    progress, other = account.take({"event": "verbose", "stdout": "[a] 40 of 200 files, 0:01:20 left\r\n[b] no host\n"})
    assert progress == {"kind": "progress", "host": "a", "task": "Build", "text": "40 of 200 files, 0:01:20 left"}
    assert other["kind"] == "stdout"


def test_a_failure_half_way_says_which_hosts_have_what():
    account = Account(["a", "b", "c"], False)
    account.take(ran("ok", "a", changed=True))
    account.take(ran("failed", "b", msg="no build\nmore"))
    end = account.end(2)
    assert end["state"] == "failed" and end["text"] == "b: no build (Deploy) Changed: a. As before: b, c."
    assert end["recap"]["b"]["failures"] == 1


def test_a_cancelled_run_says_what_was_at_work():
    account = Account(["a"], False)
    account.take({"event": "runner_on_start", "event_data": {"host": "a", "task": "Build"}})
    end = account.end(None, "bob")
    assert end["state"] == "cancelled" and "Cancelled by bob. At work was: Build on a" in end["text"]


def test_hostile_texts_are_made_plain_and_short():
    text = texts.plain("\x1b[31mred\x1b[0m\x1b]0;title\x07 <b>\x00\u202e" + "x" * (1 << 20))
    assert text.startswith("red <b>\ufffd\ufffdxxx") and len(text) < 17_000 and "more characters" in text
    account = Account(["a"], False)
    (event,) = account.take(ran("failed", "a", msg="x" * (1 << 20), results=[{"diff": "odd"}, 3], diff=[None, 7]))
    assert len(json.dumps(event)) < 20_000


@pytest.mark.parametrize(
    "odd", [{}, {"event": "runner_on_ok"}, {"event": "runner_on_ok", "event_data": 3}, {"event": 5}]
)
def test_odd_events_end_nothing(odd):
    Account(["a"], False).take(odd)


# ---- the journal


def test_the_journal_is_bounded_and_still_has_the_end(tmp_path):
    writer = Writer(tmp_path, limit=10_000)
    for number in range(1000):
        writer.add({"kind": "stdout", "text": "x" * 100, "number": number})
    writer.add({"kind": "failed", "text": "why"})
    writer.add({"kind": "end", "state": "failed"})
    writer.close()
    events = list(Reader(tmp_path).new())
    assert (tmp_path / FILE).stat().st_size < 12_000
    assert [event["kind"] for event in events[-3:]] == ["stdout", "failed", "end"] and "not kept" in events[-3]["text"]
    assert [event["counter"] for event in events] == list(range(1, len(events) + 1))


def test_a_line_that_was_cut_off_is_passed_over_and_counting_goes_on(tmp_path):
    (tmp_path / FILE).write_bytes(b'{"counter": 1, "kind": "task"}\n{"counter": 2, "kind": "ta')
    reader = Reader(tmp_path)
    assert [event["counter"] for event in reader.new()] == [1]
    writer = Writer(tmp_path)
    writer.add({"kind": "end"})
    writer.close()
    assert [(event["counter"], event["kind"]) for event in reader.new()] == [(2, "end")]
    assert Reader(tmp_path).last()["kind"] == "end"
