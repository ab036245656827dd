# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has an instance lost a GPU? Asked of the driver, and of what the kernel wrote since the host started."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Sequence

from ..command import run
from ..errors import LlamaOpsError
from ..files import read_text
from . import gpuready

# NVIDIA's "Xid Errors": 48 is a double bit error in its memory, 79 is a GPU that fell off the bus
XID = re.compile(r"NVRM: Xid \(PCI:([0-9a-f:.]+)\): (48|79)\b", re.I | re.A)
MEANINGS = {"48": "an error in its memory that cannot be corrected", "79": "it has fallen off the bus"}
_KERNEL = ["journalctl", "--dmesg", "--boot", "--no-pager", "--quiet", "--output=cat", "--grep=NVRM: Xid"]


def kernel_log() -> str:
    """The lines about NVIDIA's GPUs that the kernel wrote since the host started; empty where nobody may read them."""
    try:
        return run(_KERNEL, check=False, timeout=10).stdout
    except LlamaOpsError:  # no journal here
        return ""


def look(devices: Sequence[str], kernel: Callable[[], str] = kernel_log, root: str = "/") -> str:
    """Which of these GPUs is lost and why, in one sentence; empty when none is.

    :param root: the folder that holds `proc`, `sys` and `dev`.
    """
    for device in devices:
        said = gpuready.problem(device, root)
        if " is lost: " in said:
            return said
    reported = XID.findall(kernel()) if any(device.startswith("GPU-") for device in devices) else []
    for device in devices:
        address = _address(device, root)
        for slot, number in reported:
            if address and address.startswith(slot.lower()):
                return f"{device} is lost: the kernel reports Xid {number}, {MEANINGS[number]}."
    return ""


def _address(device: str, root: str) -> str:
    """Where NVIDIA's driver has this GPU on the bus: `0000:01:00.0`; the kernel leaves out the function."""
    for path in glob.glob(os.path.join(glob.escape(root), "proc/driver/nvidia/gpus/*/information")):
        if device in (read_text(path) or ""):
            return os.path.basename(os.path.dirname(path)).lower()
    return ""
