# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sparse GGUF files, as the core writes them."""

from __future__ import annotations

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.gguf.sparse import write

__all__ = ["write"]
