# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reference to a hub means before anything is brought: the models there, and the one that would be chosen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import modelchoice, modelref
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.hub import Hub
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model.modelchoice import Entry

_QUANT = re.compile(r"(?<![A-Za-z0-9])((?:UD-)?I?Q[0-9](?:_[A-Z0-9]+)*|MXFP4|NVFP4|BF16|F16|F32)(?![A-Za-z0-9])", re.I)


def look_up(reference: str, endpoint: str = "") -> dict[str, Any]:
    """`{source, revision, candidates: [{path, files, size, quant, chosen}], chosen, trouble}`; sizes are bytes.

    It asks the hub, and so belongs into a thread.

    :param endpoint: of a mirror; empty: `HF_ENDPOINT` of the environment, or the public hub.
    :raises InvalidInput: it is no reference to a hub, or the hub refuses it. :raises Unreachable: the hub is away.
    """
    source = modelref.parse(reference.strip())
    if source.kind != modelref.HUB:
        raise InvalidInput(f"{reference[:100]!r} does not lie on a hub.", "Use a reference such as owner/repo:Q4_K_M.")
    commit, listing = Hub.open(endpoint or None, None).listing(source.location, None)
    chosen: tuple[Entry, ...] = ()
    trouble = ""
    try:
        chosen = modelchoice.choose(source.location, listing, source.quant)
    except InvalidInput as exc:
        trouble = exc.problem
    found = candidates(source.location, listing)
    for item in found:
        item["chosen"] = bool(chosen) and item["path"] == chosen[0].path
    return {"source": str(source), "revision": commit, "candidates": found, "chosen": bool(chosen), "trouble": trouble}


def candidates(where: str, listing: Sequence[Entry]) -> list[dict[str, Any]]:
    """The GGUF files of a listing, shards of one model together, the smallest first. Pure."""
    found: dict[str, dict[str, Any]] = {}
    for entry in listing:
        if entry.path.lower().endswith(".gguf"):
            try:
                group = modelchoice.group(where, listing, entry.path)
            except InvalidInput:  # a shard is missing
                continue
            found[group[0].path] = {
                "path": group[0].path,
                "files": len(group),
                "size": sum(item.size for item in group),
                "quant": quantisation(group[0].path),
            }
    return sorted(found.values(), key=lambda item: int(item["size"]))


def quantisation(path: str) -> str:
    """The quantisation that the name of a file says; empty where it says none. Pure."""
    name = _QUANT.search(path.rsplit("/", 1)[-1])
    return name[1].upper() if name else ""
