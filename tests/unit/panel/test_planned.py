# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may have a host go out for a plan."""

from __future__ import annotations

import pytest

pytest.importorskip("nicegui")

from llamaops_panel.access.guard import NotAllowed
from llamaops_panel.access.identity import User
from llamaops_panel.planned import elsewhere, may_ask

HUB = "owner/repo:Q4_K_M"


@pytest.mark.parametrize(
    "entry",
    [
        {"model": HUB},
        {"model": "HTTP://elsewhere.example/m.gguf"},
        {"model": {"ref": HUB}},
        {"model": {"ref": {"source": HUB}}},
        {"model": {"ref": {"source": "tiny", "draft": HUB}}},
        {"model": [HUB]},
        {"model": "tiny", "spec_draft_model": HUB},
        {"model": "tiny", "options": {"spec-draft-model": HUB}},
        {"model": "tiny", "options": {"model_draft": HUB}},
    ],
)
def test_what_lies_elsewhere_is_known_by_its_name(entry):
    assert HUB in elsewhere(entry)[0] or "elsewhere" in elsewhere(entry)[0]
    with pytest.raises(NotAllowed, match="role operator; vic is viewer"):
        may_ask(User("vic", "viewer"), entry)
    may_ask(User("olga", "operator"), entry)


@pytest.mark.parametrize("model", ["tiny", "/srv/models/m.gguf", "builtin:tiny", {"ref": "tiny"}, None, ""])
def test_what_lies_on_a_host_is_for_everybody(model):
    entry = {"model": model, "spec_draft_model": "/srv/draft.gguf", "mmproj": "auto"}
    assert not elsewhere(entry)
    may_ask(User("vic", "viewer"), entry)
