# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""llama_build with the progress of the compile."""

from __future__ import annotations

from ansible_collections.llamaops.llama_cpp.plugins.plugin_utils.long_job import LongJob


class ActionModule(LongJob):
    """See `LongJob`."""
