# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `llama-host` on a host: what the modules tell once, told there at any time and as it changes.

command.py    status, watch, facts, plan, logs, probe
sections.py   what a host says of itself, by the functions of the `*_info` modules
watch.py      the stream: sections as they change, requests as they come
package.py    the command as one file, which llama_runtime installs
"""
