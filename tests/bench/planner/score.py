# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""score.py [--rows] [--record FILE]: the memory model against the recorded rows of llama.cpp, as one table.

--rows names the misses; --record scores a file of again.py, whose first device is a CUDA device.

Of other estimators those launches are scored that they can be asked about: one device that holds everything; of
llama-fit-params all that it was asked about (fit_params.py).
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "unit" / "core" / "memory")]

import geometry  # noqa: E402
import others  # noqa: E402
import recorded  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import plan  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.launch import Launch  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.launch import context as context_of  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.plan import Model  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.table import Cell, Device  # noqa: E402
from test_recorded import launch_of  # noqa: E402

MIB = 1 << 20
_ROOM = 1 << 42
# what of a plan is a model, a context and a compute buffer in llama.cpp's books
PARTS = (("weights", "mapped_weights"), ("kv_cache", "recurrent_state"), ("compute", "staging"))
OURS = ("this model", "this model, held out", "this model, those launches", "llama-fit-params")


def kind_of(launch: Launch, row: dict[str, Any], devices: int) -> str:
    if "mtp" in row:
        return "MTP"
    if launch.embeddings:
        return "embeddings"
    if launch.n_cpu_moe:
        return "experts on host"
    if launch.gpu_layers >= 0:
        return "partial"
    if not launch.flash_attn:
        return "no flash attention"
    if devices > 1:
        return f"{devices} devices"
    return "quantised cache" if launch.cache_type_k != "f16" else "one device"


def main() -> None:
    exact: dict[str, list[int]] = defaultdict(list)
    errors: dict[str, list[tuple[float, str]]] = defaultdict(list)
    totals: dict[str, list[float]] = defaultdict(list)
    models = {name: Model(recorded.header(name)) for name in recorded.models()}
    rows, said, first = _read()
    for row, fit in zip(rows, said):
        launch, count = launch_of(row)
        model = models[row["model"]]
        backends = (first, *("rpc",) * (count - 1)) if count else ()
        table = plan.assemble(model, launch, [Device(str(at), name, _ROOM, _ROOM) for at, name in enumerate(backends)])
        kind = "held out" if row["model"] in geometry.HELD_OUT else kind_of(launch, row, count)
        for key, truth in row["main"].items():
            cells = table.host if key == "host" else table.rows[int(key)].components
            weights, context, computed = (_sum(cells, names) for names in PARTS)
            exact[kind].append([weights, context] == truth[:2])
            error = (computed - truth[2]) / MIB
            missed = error < -32 or abs(error) > max(32, truth[2] / MIB / 10)
            where = kind if key != "host" else f"{kind} (host)"
            errors[where].append((error, f"{row['model']} device {key} of {row['launch']}" if missed else ""))
            if key != "host" and sum(truth):
                whose = "this model, held out" if kind == "held out" else "this model"
                totals[whose].append((weights + context + computed) / sum(truth) - 1)
                if fit is not None and len(fit) == count + 1:
                    totals["llama-fit-params"].append(fit[int(key)] * MIB / sum(truth) - 1)
                if count == 1 and launch.gpu_layers < 0 and not launch.n_cpu_moe:
                    totals["this model, those launches"].append(totals[whose][-1])
                    for name, guess in others.all_of(model, launch, context_of(model.hparams, launch).tokens).items():
                        totals[name].append(guess / sum(truth) - 1)
    _print(rows, exact, errors, totals)


def _sum(cells: Mapping[str, Cell], names: tuple[str, ...]) -> int:
    return sum(cells[name].bytes for name in names if name in cells)


def _read() -> tuple[list[dict[str, Any]], list[Any], str]:
    """The rows, what llama-fit-params says of each, and the backend of the first device."""
    if "--record" in sys.argv:
        rows = json.loads(Path(sys.argv[sys.argv.index("--record") + 1]).read_text())
        return rows, [None] * len(rows), "cuda"
    return recorded.rows(), json.loads((recorded.FOLDER / "fit_params.json").read_text()), "rpc"


def _print(
    rows: list[dict[str, Any]],
    exact: dict[str, list[int]],
    errors: dict[str, list[tuple[float, str]]],
    totals: dict[str, list[float]],
) -> None:
    architectures = {recorded.models()[row["model"]]["metadata"]["general.architecture"] for row in rows}
    print(f"{len(rows)} launches of {len({row['model'] for row in rows})} models, {len(architectures)} architectures\n")
    print(
        f"{'launch':<28}{'cells':>6}{'exact':>7}{'compute p50':>13}{'p90':>8}{'worst -':>9}{'worst +':>9}{'missed':>8}"
    )
    for kind, found in sorted(errors.items()):
        sizes = sorted(abs(error) for error, _other in found)
        sound = f"{sum(exact[kind])}" if kind in exact else "-"
        print(
            f"{kind:<28}{len(found):>6}{sound:>7}{sizes[len(sizes) // 2]:>13.1f}{sizes[int(len(sizes) * 0.9)]:>8.1f}"
            f"{min(error for error, _other in found):>9.1f}{max(error for error, _other in found):>9.1f}"
            f"{sum(bool(missed) for _other, missed in found):>8}"
        )
    print(f"\n{'error of a device in total':<28}{'cells':>6}{'p50 %':>10}{'p90 %':>10}{'under %':>10}{'over %':>10}")
    for name in (name for name in (*OURS, *sorted(set(totals) - set(OURS))) if totals[name]):
        ranked = sorted(abs(error) for error in totals[name])
        p50, p90 = ranked[len(ranked) // 2], ranked[int(len(ranked) * 0.9)]
        print(
            f"{name:<28}{len(ranked):>6}{100 * p50:>10.4f}{100 * p90:>10.3f}"
            f"{-100 * min(*totals[name], 0):>10.1f}{100 * max(totals[name]):>10.1f}"
        )
    if "--rows" in sys.argv:
        for kind, found in sorted(errors.items()):
            for error, missed in sorted(found):
                if missed:
                    print(f"{kind}: {error:+.0f} MiB {missed}")


if __name__ == "__main__":
    main()
