# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""proven.py: print the table of modes against what tests show of each, for docs/supervision.md.

A cell says under which service managers a test shows it, or `no`. Tests are read, not run: what one does for each entry
of its list (INSTANCES of the lab, MODES of the integration tests) it does for the mode of that entry.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path

TESTS = Path(__file__).resolve().parent
LAB = TESTS.parent / "extensions" / "molecule" / "launch" / "tests"
HERE = TESTS / "integration"
SYSTEMD, SUPERVISOR = "systemd", "supervisord"

# mode -> the instance of the lab and the mode of the integration tests that stand for it
MODES = {
    "chat": ("chat", "chat"),
    "embedding": ("embed", "embedding"),
    "rerank": ("rerank", "rerank"),
    "router": ("router", "router"),
    "multimodal": ("eyes", "multimodal"),
    "LoRA": ("lora", "lora"),
    "drafts": ("draft", "draft"),
    "Transformers": ("ranker", ""),
    "on a socket": ("sock", ""),
    "with TLS": ("tls", ""),
}
_RUNS = "test_a_mode_starts_answers_keeps_its_key_and_can_be_read"
_ALONE = "test_an_instance_of_the_kind_transformers"
_TLS = "test_the_probe_insists_on_the_certificate"
# column -> tests of the lab, tests here, tests of the Transformers service, tests here of TLS
COLUMNS: Mapping[str, tuple[str, str, str, str]] = {
    "starts": ("test_it_answers_in_the_shape_of_its_kind", _RUNS, _ALONE, _TLS),
    "answers in the right shape": ("test_it_answers_in_the_shape_of_its_kind", _RUNS, _ALONE, _TLS),
    "survives kill -9": ("test_it_comes_back_after_kill_9", "test_every_mode_comes_back_after_kill_9", _ALONE, ""),
    "survives a reboot": ("test_all_come_back_after_a_reboot", "", "", ""),
    "key enforced": ("test_nobody_without_its_key_is_served", _RUNS, _ALONE, ""),
    "residency": (
        "test_memory_lies_where_it_was_planned",
        "test_the_memory_of_a_mode_lies_where_it_was_planned",
        _ALONE,
        "",
    ),
    "command readable": ("test_the_command_is_the_one_of_its_unit", _RUNS, "", ""),
}


def names(path: Path) -> set[str]:
    """The tests of a file."""
    return set(re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.M))


def listed(path: Path, variable: str) -> set[str]:
    """Names in a list of tuples (the second word of each) or the keys of a dictionary, as a file of tests has it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == variable:
            if isinstance(node.value, ast.Dict):
                return {str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)}
            if isinstance(node.value, ast.List):
                return {item.elts[1].value for item in node.value.elts}  # type: ignore[attr-defined]
    raise ValueError(f"{path} has no {variable}")


def table() -> str:
    """The table, in Markdown."""
    lab = {name for file in LAB.glob("test_*.py") for name in names(file)}
    here, alone = names(HERE / "test_modes.py"), names(HERE / "test_llama_reranker.py")
    instances, modes = listed(LAB / "hosts.py", "INSTANCES"), listed(HERE / "test_modes.py", "MODES")
    lines = ["| mode | " + " | ".join(COLUMNS) + " |", "|---" * (1 + len(COLUMNS)) + "|"]
    for mode, (instance, own) in MODES.items():
        cells = []
        for booted, ours, service, tls in COLUMNS.values():
            by = [SYSTEMD] if instance in instances and booted in lab else []
            by += (
                [SUPERVISOR] if (own in modes and ours in here) or (mode == "Transformers" and service in alone) else []
            )
            by += [SUPERVISOR] if mode == "with TLS" and tls in here else []
            cells.append(", ".join(by) or "no")
        lines.append(f"| {mode} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
