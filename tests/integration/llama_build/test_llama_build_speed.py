# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The speed gate, and the way back."""

from __future__ import annotations

import re

from fixtures.upstream import active, names

GATE = {"model": "builtin:tiny"}


def test_a_slower_build_is_kept_but_not_active(upstream, root, build):
    upstream.commit()
    good = build(source=upstream.source(), speed_gate=GATE)["build_id"]  # nothing to compare with
    upstream.commit("half as fast")
    slow = build(source=upstream.source(), speed_gate=GATE, keep=1)
    assert slow["failed"]
    found = re.search(r"pp256: ([0-9.]+) against ([0-9.]+) tokens/s", slow["msg"])
    assert 0.4 < float(found.group(1)) / float(found.group(2)) < 0.7, slow["msg"]
    assert slow["speeds"]["fresh"]["tg64"] < slow["speeds"]["active"]["tg64"]
    assert active(root) == good
    assert len(names(root / "builds")) == 2
    again = build(source=upstream.source(), speed_gate=GATE)  # not compiled again, and still not active
    assert again["failed"] and active(root) == good
    lenient = build(source=upstream.source(), speed_gate={**GATE, "min_speed_ratio": 0.3})
    assert (lenient["failed"], lenient["compiled"], lenient["active"] != good) == (False, False, True), lenient

    back = build(active="previous")
    assert (back["changed"], back["active"], back["previous"]) == (True, good, lenient["active"])
    upstream.commit("good again")
    assert build(source=upstream.source(), speed_gate=GATE)["previous"] == good


def test_a_gate_that_cannot_be_asked(upstream, root, build):
    upstream.commit()
    good = build(source=upstream.source())["build_id"]
    assert "no build was active before" in build(active="previous")["msg"]
    upstream.commit("good again")
    for gate, said in [
        ({"model": "absent"}, "'absent' of the speed gate is not on this host"),
        ({"model": "/absent.gguf"}, "/absent.gguf of the speed gate"),
        ({**GATE, "rounds": 0}, "rounds must be 1 or more"),
    ]:
        result = build(source=upstream.source(), speed_gate=gate)
        assert result["failed"] and said in result["msg"], result
        assert active(root) == good
