# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A place nearer than the source that may have the same bytes: a folder of the host, or a web server of the site.

It is laid out like a store and only saves the way: what it gives is proven like everything else, and what it does not
have comes from the source. No token is ever sent to it.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Callable, Sequence

from ..errors import InvalidInput, Unreachable, Untrusted
from ..web import Remote
from . import download
from .download import Patience

_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?")


def read(value: str | None) -> str | None:
    """A mirror as users give it: an absolute path or a plain address.

    :raises InvalidInput: it is neither.
    """
    if not value or _ADDRESS.fullmatch(value) or (os.path.isabs(value) and value.isprintable()):
        return value.rstrip("/") if value else None
    raise InvalidInput(
        "The mirror must be an absolute path or an address such as https://models.example.com/store, "
        "without a user or query."
    )


def bring(
    mirror: str, names: Sequence[str], path: str, size: int, patience: Patience, moved: Callable[[int], None] | None
) -> str | None:
    """Have the bytes of the first of these names that the mirror has in `path`; returns their SHA-256.

    None if it has none of them, or cannot be asked; what came is kept.
    """
    for name in names:
        try:
            if os.path.isabs(mirror):
                source = os.path.join(mirror, name)
                if os.path.isfile(source):
                    return download.copy(source, path, moved)
            else:
                remote = Remote(f"{mirror}/{urllib.parse.quote(name)}", f"{name} of {mirror}")
                return download.resume(remote, path, size, patience, moved)
        except (Unreachable, Untrusted):  # the next name, the source at last
            continue
    return None
