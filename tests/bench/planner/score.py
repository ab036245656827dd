# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""score.py [--rows]: the memory model against the recorded rows of llama.cpp, as one table; --rows names the misses.

Of other estimators those launches are scored that they can be asked about: one device that holds everything; of
llama-fit-params all that it was asked about (fit_params.py).
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "unit" / "core" / "memory")]

import geometry  # noqa: E402
import others  # noqa: E402
import recorded  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import cache, compute, layers  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.launch import Launch, context  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.plan import Model  # noqa: E402
from test_recorded import device, launch_of  # noqa: E402

MIB = 1 << 20
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
    said = json.loads((recorded.FOLDER / "fit_params.json").read_text())
    for row, fit in zip(recorded.rows(), said):
        launch, count = launch_of(row)
        model = models[row["model"]]
        hp = model.hparams
        ctx, placement = context(hp, launch), layers.place(hp, launch, count)
        weights = model.weights(launch, placement, ("rpc",) * count).bytes
        kept, state = cache.sizes(hp, launch, ctx, placement), cache.recurrent_sizes(hp, launch, ctx, placement)
        computed = compute.sizes(hp, launch, ctx, placement).bytes
        kind = "held out" if row["model"] in geometry.HELD_OUT else kind_of(launch, row, count)
        for key, (model_bytes, context_bytes, compute_bytes) in row["main"].items():
            at = device(key)
            exact[kind].append(weights[at] == model_bytes and kept[at] + state[at] == context_bytes)
            error = (computed[at] - compute_bytes) / MIB
            missed = error < -32 or abs(error) > max(32, compute_bytes / MIB / 10)
            where = kind if key != "host" else f"{kind} (host)"
            errors[where].append((error, f"{row['model']} device {key} of {row['launch']}" if missed else ""))
            if key != "host":
                truth = model_bytes + context_bytes + compute_bytes
                mine = weights[at] + kept[at] + state[at] + computed[at]
                whose = "this model, held out" if kind == "held out" else "this model"
                if not truth:
                    continue
                totals[whose].append((mine - truth) / truth)
                if fit is not None and len(fit) == count + 1:
                    totals["llama-fit-params"].append((fit[at] * MIB - truth) / truth)
                if count == 1 and launch.gpu_layers < 0 and not launch.n_cpu_moe:
                    totals["this model, those launches"].append((mine - truth) / truth)
                    for name, guess in others.all_of(model, launch, ctx.tokens).items():
                        totals[name].append((guess - truth) / truth)
    _print(exact, errors, totals)


def _print(
    exact: dict[str, list[int]], errors: dict[str, list[tuple[float, str]]], totals: dict[str, list[float]]
) -> None:
    architectures = {model["metadata"]["general.architecture"] for model in recorded.models().values()}
    print(f"{len(recorded.rows())} launches of {len(recorded.models())} models, {len(architectures)} architectures\n")
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
    for name in (*OURS, *sorted(set(totals) - set(OURS))):
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
