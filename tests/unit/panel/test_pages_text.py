# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What strangers said, as pages show it; and entries of an inventory through the form and back."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("nicegui")
sys.path.insert(0, str(Path(__file__).parent))

import invented
from llamaops_panel.fleet import rows as fleet_rows
from llamaops_panel.pages import benches, change, events, fields, tables, text


def test_no_terminal_sequence_and_no_control_character_is_shown():
    said = "\x1b[31mred\x1b[0m \x1b]0;title\x07next\x00\x9b1m\u202eevil\r"
    assert text.clean(said) == "red nextevil"


def test_a_line_of_a_megabyte_is_cut_at_once_and_says_so():
    began = time.process_time()
    shown = text.clean("x" * (1 << 20), text.LINE)
    assert time.process_time() - began < 0.05
    assert shown.startswith("x" * text.LINE) and shown.endswith("(1044576 more characters)")


def test_html_stays_text():
    assert text.clean("<script>alert(1)</script>") == "<script>alert(1)</script>"


@pytest.mark.parametrize("hostile", [None, 7, "text", [], [None, 3], {"gpus": "none"}])
def test_whatever_a_host_says_instead_of_its_load_the_tables_stand(hostile):
    host = invented.host("odd", {})
    host.load = {"memory": hostile, "gpus": hostile, "cpu": hostile}
    host.builds = {"disk": hostile, "builds": hostile}
    host.facts = {"devices": hostile, "host": hostile}
    assert [row["id"] for row in tables.hosts([host], fleet_rows.of(host))] == ["odd"]


def test_a_failed_instance_is_an_error_row_and_one_of_a_lost_host_says_that_it_is_old():
    hosts = {host.name: host for host in invented.hosts()}
    rows = {row["id"]: row for row in tables.instances(fleet_rows.of(hosts["gpu02"]))}
    assert rows["gpu02/chat"]["tone"] == "error"
    assert rows["gpu02/chat"]["cells"]["state"]["tone"] == "error"
    assert rows["gpu02/chat"]["cells"]["name"]["href"] == "/instances/gpu02/chat"


def test_attention_leads_only_into_the_panel_and_the_worst_comes_first():
    item = {"host": "a", "instance": "", "what": "x", "why": "", "remedy": ""}
    found = tables.attention(
        [{**item, "severity": "info", "link": "//evil.example"}, {**item, "severity": "error", "link": "/jobs/1"}]
    )
    assert [row["cells"]["where"]["href"] for row in found] == ["/jobs/1", "/hosts/a"]


ENTRY = {
    "model": "Qwen/Qwen3-8B-GGUF:Q4_K_M",
    "port": 8080,
    "alias": ["chat", "qwen"],
    "ctx_size": "auto",
    "gpu_layers": 20,
    "jinja": True,
    "slots": False,
    "tensor_split": "3,1",
    "plan": {"allow": ["ctx_size", "cache_type"], "ctx_floor": 8192},
    "spec": {"type": ["draft-mtp"]},
}


def test_an_entry_goes_through_the_form_unchanged():
    shown = {name: fields.raw(field, fields.of(ENTRY, name)) for name, field in fields.FIELDS.items()}
    back: dict = {}
    for name, field in fields.FIELDS.items():
        found = fields.value(field, shown[name])
        if found is not None:
            fields.put(back, name, found)
    assert back == ENTRY


def test_what_no_field_stands_for_is_kept_as_yaml():
    entry = {**ENTRY, "env": {"A": "b"}, "plan": {**ENTRY["plan"], "exact": True}, "options": {"x": 1}}
    assert fields.read_rest(fields.rest(entry)) == {"env": {"A": "b"}, "plan": {"exact": True}}


@pytest.mark.parametrize("said", ["port: 1", "options: {a: 1}", "- a", "a: [", "!!python/object/apply:os.system [id]"])
def test_yaml_that_cannot_be_used_is_refused(said):
    with pytest.raises(ValueError):
        fields.read_rest(said)


DOCUMENT = {
    "version": "b1",
    "options": [
        invented.option("--ctx-size"),
        invented.option("--flash-attn", values=["on", "off", "auto"]),
        invented.option("--host"),
        invented.option("--hf-repo", downloads=True),
        invented.option("--gone", removed="use something else"),
        invented.option("--swa-full", takes=0),
    ],
}


def test_a_field_is_greyed_with_the_reason_where_the_build_lacks_its_flag():
    assert fields.missing(fields.FIELDS["ctx_size"], DOCUMENT, "b1") == ""
    assert "has no --n-cpu-moe" in fields.missing(fields.FIELDS["n_cpu_moe"], DOCUMENT, "b1")


def test_only_flags_that_nothing_else_owns_can_be_added():
    assert list(fields.flags(DOCUMENT)) == ["flash_attn", "swa_full"]
    assert fields.option_values(DOCUMENT, "flash_attn") == ("on", "off", "auto")
    assert fields.option_values(DOCUMENT, "swa_full") == ("true", "false")


def test_a_difference_within_the_noise_is_called_noise():
    def record(*samples: float) -> dict:
        return {"rows": [{"test": "tg128", "samples_ts": list(samples)}]}

    def verdict(first: dict, second: dict) -> str:
        return benches.compare(first, second)[0]["cells"]["verdict"]["t"]

    assert verdict(record(100, 101, 99), record(101, 100, 102)) == "noise"
    assert verdict(record(100, 101, 99), record(120, 121, 119)) == "faster"
    assert verdict(record(100, 101, 99), record(80, 81, 79)) == "slower"
    assert verdict(record(100, 140, 60), record(90, 130, 50)) == "noise"


def test_an_event_with_a_difference_shows_both():
    event = {"kind": "changed", "host": "a", "text": "done", "diff": "-old\n+new", "at": 1.0}
    assert [item["t"] for item in events.lines(event)] == ["  changed a: done", "    -old", "    +new"]
    assert events.shown(event) and not events.shown({"kind": "ok"})


def test_the_preflight_table_of_a_build_names_host_need_and_remedy():
    row = {"name": "cmake", "found": "nothing", "needed": "CMake 3.18", "ok": False, "remedy": "apt-get install cmake"}
    (shown,) = events.preflight({"host": "a", "data": {"preflight": [row, "odd"]}})
    assert (shown["id"], shown["cells"]["ok"]["tone"]) == ("a cmake", "error")
    assert shown["cells"]["remedy"] == "apt-get install cmake"


def test_a_server_that_another_service_keeps_cannot_be_taken_over_and_the_reason_is_said():
    def adopt(**more) -> str:
        said = {
            "pid": 7,
            "tool": "llama-server",
            "definition": {"model": "m", "port": 80},
            "belongs": "foreign",
            **more,
        }
        return change._stranger(said, "")["cells"]["acts"]["acts"][0]["off"]

    assert adopt() == ""
    assert "other.service has it" in adopt(belongs="external", unit="other.service")
    assert "does not take its command" in adopt(definition={})
