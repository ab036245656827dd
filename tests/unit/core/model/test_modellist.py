# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The models a host needs, from its model sets and its instances."""

from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.modellist import common, model_sets

REF = "Qwen/Qwen3-8B-GGUF:Q4_K_M"
NAME = "qwen-qwen3-8b-gguf-q4-k-m"


@pytest.mark.parametrize(
    ("models", "instances", "defaults", "wanted"),
    [
        ({}, [], {}, []),
        ({"t": "builtin:tiny"}, [], {}, [{"name": "t", "source": "builtin:tiny"}]),
        (
            {"t": {"source": "o/r:Q8_0", "revision": "v1", "files": None}},
            [{"chat": {"model": "t", "port": 1}}],
            {},
            [{"name": "t", "source": "o/r:Q8_0", "revision": "v1"}],
        ),
        ({}, [{"chat": {"model": REF}}], {}, [{"name": NAME, "source": REF}]),
        ({}, [{"a": {"model": REF}}, {"b": {"model": {"ref": REF}}}], {}, [{"name": NAME, "source": REF}]),
        (
            {},
            [{"chat": {"model": {"ref": REF, "revision": "v2"}}}],
            {},
            [{"name": NAME, "source": REF, "revision": "v2"}],
        ),
        ({}, [{"a": {"model": "/srv/x.gguf"}, "b": {"port": 1}, "c": {"model": REF, "state": "absent"}}], {}, []),
        ({}, [{"a": {"port": 1}}], {"model": REF}, [{"name": NAME, "source": REF}]),
        ({"old": {"state": "absent"}}, [], {}, [{"name": "old", "state": "absent"}]),
    ],
)
def test_what_a_host_needs(models, instances, defaults, wanted):
    assert model_sets(models, instances, defaults) == wanted


@pytest.mark.parametrize(
    ("models", "instances", "reason"),
    [
        ({"t": 7}, [], "must be a source"),
        ({"t": {"src": "x"}}, [], "has no key 'src'.*source"),
        ({"T": "builtin:tiny"}, [], "cannot name a model"),
        ({"t": "../x"}, [], "cannot be used"),
        ({}, [{"chat": {"model": "no-such-set"}}], "no model source"),
        ({}, [{"chat": {"model": {"ref": REF, "rev": "x"}}}], "no key 'rev'"),
        ({}, [{"a": {"model": REF}}, {"b": {"model": {"ref": REF, "revision": "v1"}}}], "wanted as"),
        ({NAME: "builtin:tiny"}, [{"a": {"model": REF}}], "wanted as"),
    ],
)
def test_a_wrong_entry_is_refused(models, instances, reason):
    with pytest.raises(InvalidInput, match=reason):
        model_sets(models, instances, {})


def test_what_hosts_want_together():
    one = [
        {"name": "a", "source": "o/a"},
        {"name": "b", "source": "/srv/b.gguf"},
        {"name": "t", "source": "builtin:tiny"},
    ]
    two = [
        {"name": "c", "state": "absent"},
        {"name": "a", "source": "o/a"},
        {"name": "d", "source": "o/d", "state": "latest"},
    ]
    assert common([one, two]) == [one[0], two[2]]
    with pytest.raises(InvalidInput, match="Hosts want the set 'a' as o/a at its main branch and as o/z"):
        common([one, [{"name": "a", "source": "o/z"}]])
