# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GGUF headers, read from files and servers that may lie."""

from __future__ import annotations

from .header import Header, Tensor, check_length, parse, read_header

__all__ = ["Header", "Tensor", "check_length", "parse", "read_header"]
