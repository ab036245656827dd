# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The version of the collection that this panel belongs to."""

from __future__ import annotations

from pathlib import Path

import yaml

COLLECTION = Path(__file__).resolve().parents[2]


def _version() -> str:
    """From the source folder, or from an installed collection, which keeps it in its manifest."""
    source = COLLECTION / "galaxy.yml"
    if source.is_file():
        return str(yaml.safe_load(source.read_text(encoding="utf-8"))["version"])
    manifest = yaml.safe_load((COLLECTION / "MANIFEST.json").read_text(encoding="utf-8"))
    return str(manifest["collection_info"]["version"])


VERSION = _version()
