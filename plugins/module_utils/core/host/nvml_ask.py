# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking NVIDIA's driver library (NVML): what a refusal means, and which refusals end the reading."""

from __future__ import annotations

from typing import Any

from ..errors import LlamaOpsError

# nvml.h, nvmlReturn_t
NOT_SUPPORTED, LIBRARY_NOT_FOUND = 3, 12
_NO_PERMISSION, _DRIVER_NOT_LOADED, _FUNCTION_NOT_FOUND, _VERSION_MISMATCH = 4, 9, 13, 18
_GPU_IS_LOST, _RESET_REQUIRED = 15, 16
_OLDER = "the driver is older than this question"
_TEXTS = {
    NOT_SUPPORTED: "not supported by this GPU",
    _NO_PERMISSION: "no permission",
    _FUNCTION_NOT_FOUND: _OLDER,
    25: _OLDER,  # the driver does not know the version of the structure
}

_REMEDIES = {
    _NO_PERMISSION: "Let the user of the module open /dev/nvidiactl and /dev/nvidia0 (often by the groups video and "
    "render), or use become.",
    _DRIVER_NOT_LOADED: "Load the kernel module (modprobe nvidia). If that fails it was not built for the running "
    "kernel (reboot after a kernel update, see dkms status) or Secure Boot refuses it.",
    LIBRARY_NOT_FOUND: "Install NVIDIA's driver with its library libnvidia-ml.so.1; a container gets it from the "
    "NVIDIA container toolkit (for example --gpus all).",
    _VERSION_MISMATCH: "The driver was updated while the old kernel module is still loaded: reboot the host.",
}
SEE_DMESG = "See dmesg for lines with NVRM or Xid; reset the GPU (nvidia-smi --gpu-reset) or power-cycle the host."


class DriverSilent(LlamaOpsError):
    """NVIDIA's driver, or one GPU behind it, does not answer."""


class Ask:
    """Calls of NVML about one GPU, or about the driver. `refused` says by field why it stayed without an answer."""

    def __init__(self, nvml: Any) -> None:
        self.nvml = nvml
        self.refused: dict[str, str] = {}
        self.codes: dict[str, int] = {}

    def __call__(self, field: str, name: str, *arguments: Any, **keywords: Any) -> Any:
        """The answer; None for what the device or the driver does not know.

        :raises DriverSilent: the GPU itself is gone.
        """
        function = getattr(self.nvml, name, None)
        if function is None:
            self.refused[field] = "nvidia-ml-py is older than this question"
            return None
        try:
            answer = function(*arguments, **keywords)
        except self.nvml.NVMLError as exc:
            if exc.value in (_GPU_IS_LOST, _RESET_REQUIRED):
                raise silent("A GPU does not answer", exc) from exc
            self.codes[field] = exc.value
            self.refused[field] = _TEXTS.get(exc.value) or f"{exc} (NVML error {exc.value})"
        except self.nvml.NVMLLibraryMismatchError:
            self.refused[field] = _OLDER
        except UnicodeDecodeError:
            self.refused[field] = "the board's text is damaged"
        else:
            self.refused.pop(field, None)
            return answer
        return None


def silent(problem: str, error: Any) -> DriverSilent:
    """The error for a refusal of NVML; the remedy names the case."""
    remedy = _REMEDIES.get(error.value, SEE_DMESG)
    return DriverSilent(f"{problem}: {error} (NVML error {error.value}).", remedy, nvml_error=error.value)
