# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundle that a module may take its files from."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of the option bundle."""

    DOCUMENTATION = r"""
options:
  bundle:
    description:
      - A folder on the host that M(llamaops.llama_cpp.llama_bundle) wrote, from which files are taken instead of the network.
      - It is read only when something is missing, so it may be gone afterwards.
    type: dict
    suboptions:
      path:
        description: The folder.
        type: path
        required: true
      sha256:
        description: SHA-256 of its C(bundle.json), as RV(llamaops.llama_cpp.llama_bundle#module:sha256) says. Another one is refused.
        type: str
        required: true
"""
