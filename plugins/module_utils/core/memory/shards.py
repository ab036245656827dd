# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a model as one header."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace

from ..errors import InvalidInput
from ..gguf import Header, read_header
from ..model import modelset

_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_MAX_SHARDS = 1000


def read(path: str) -> Header:
    """The header of a model, with the tensors of all its shards.

    :param path: the file, or the first of its shards.
    :raises Untrusted: a file is damaged or no GGUF file.
    :raises InvalidInput: the path names another shard than the first, or a shard is missing.
    """
    first = read_header(path)
    folder, name = os.path.split(path)
    match = _SHARD.fullmatch(name)
    if not match:
        return first
    count = int(match["count"])
    if int(match["number"]) != 1 or not 1 <= count <= _MAX_SHARDS:
        raise InvalidInput(f"{path} is not the first shard of a model.", "Name the shard 00001.")
    shards = [first]
    for number in range(2, count + 1):
        shard = os.path.join(folder, f"{match['stem']}-{number:05d}-of-{match['count']}.gguf")
        if not os.path.exists(shard):
            raise InvalidInput(f"The shard {shard} is missing; the model has {count}.", "Fetch the whole model.")
        shards.append(read_header(shard))
    return joined(shards)


def joined(shards: Sequence[Header]) -> Header:
    """The headers of all shards of a model, in their order, as one: the first one's metadata, the tensors of all.

    :raises Untrusted: they do not belong together.
    """
    modelset.check_shards(shards)
    tensors = tuple(tensor for shard in shards for tensor in shard.tensors)
    return replace(shards[0], tensors=tensors, size=sum(shard.size for shard in shards))
