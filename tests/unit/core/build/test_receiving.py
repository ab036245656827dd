# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which artifact stands for a compile, before the source tree tells which patches it needs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import knownissues, receiving, recipe
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build.buildplan import Request
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build.source import Source
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import Prerequisite

WANTED = recipe.compose("c" * 40, "cuda", {"A": "ON"}, "portable", "x86_64-debian-13-glibc-2.41", "gnu-14", cuda="12.4")
LABELS = [issue.label() for issue in knownissues.TABLE]


def made(*labels, **facts):
    return recipe.build_id("0.5.0", {**WANTED, **facts, "patches": list(labels)})


def needed(*artifacts, **request):
    """The artifact that is asked for instead of a compile, or None."""
    try:
        receiving.prefer(WANTED, replace(Request(Source("git")), artifacts=artifacts, **request))
    except Prerequisite as exc:
        return exc.details["needs_artifact"]
    return None


@pytest.mark.parametrize("labels", [(), LABELS[:1], LABELS[1:2], LABELS[:2]])
def test_a_build_is_known_with_whatever_patches_it_got(labels):
    assert needed(made("other@1"), made(*labels)) == made(*labels)


def test_another_build_does_not_stand_for_it():
    assert needed(made("unknown@0"), made(cuda="12.5"), made(commit="d" * 40), made(LABELS[2])) is None
    assert needed(made(), force=True) is None


def test_a_build_without_cuda_has_no_patches():
    assert knownissues.possible(None) == [()]
