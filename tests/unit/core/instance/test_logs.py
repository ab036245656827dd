# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which lines of a log belong to the last start."""

from __future__ import annotations

import json

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.instance import logs


def line(time, text="x"):
    return json.dumps({"type": "log", "time": time, "level": "info", "msg": text})


def test_the_last_start_begins_where_the_time_falls_back():
    first, second = [line(12_000, "a"), line(90_000_000, "b")], [line(11_000, "c"), line(14_000, "d")]
    assert logs.since_start([*first, *second]) == second
    assert logs.since_start(first) == first
    assert logs.since_start([]) == []


def test_threads_may_log_in_another_order():
    mixed = [line(12_000), line(1_000_300), line(1_000_000), line(1_000_400)]
    assert logs.since_start(mixed) == mixed


def test_other_lines_are_no_time():
    text = ["{", "plain", json.dumps({"time": "x"}), json.dumps([1]), "[" * 100_000, line(5)]
    assert logs.since_start(text) == text
