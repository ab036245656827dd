# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""fit.py [--curves] ORACLE WORKER [WAYS [ARCHITECTURE...]]: measure compute buffers, write coefficients.py.

A compute buffer is the largest of a few sums of tensors that live at once; each is linear in the widths of the model.
So the buffer is measured at many geometries, and the slopes at each give one such sum exactly. Which tensors find room
in the holes of others also depends on the size of the masks beside them: the published geometries are measured again
with masks of every size, and what that adds is kept as a curve (all that --curves measures).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "unit" / "core" / "memory")]

import geometry  # noqa: E402
import published  # noqa: E402
import recorded  # noqa: E402
import sparse  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import (  # noqa: E402
    coefficients,
    compute,
    hparams,
    layers,
    shapes,
)
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import tables as packed  # noqa: E402
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.launch import Launch, context  # noqa: E402
from launches import split  # noqa: E402
from oracle import Oracle, OracleFailed  # noqa: E402

TARGET = HERE.parents[2] / "plugins" / "module_utils" / "core" / "memory" / "coefficients.py"
TOKENS = 512
PACKED = 100  # characters of a table in a line
CELLS = {True: 1024, False: 8192}  # with and without flash attention, where scores outgrow the rest
SHORT = 16
COUNTED = ("exaone4", "gemma3n", "gemma4", "deepseek2")
# Ways to launch, and by table the device that is measured: with flash attention, without, with all experts on the host
# (which computes them), over three devices with batches in flight, with a third of the layers on the host,
# with the experts of half of the layers there, with those of a quarter (the device behind them), and with logits for
# the whole batch, on one device and on the last of three.
WAYS = {
    "flash": {"FLASH": "0"},
    "plain": {"PLAIN": "0"},
    "apart": {"APART": "0", "EXPERTS": "host"},
    "piped": {"FIRST": "0", "MIDDLE": "1", "LAST": "2"},
    "partial": {"PARTIAL": "0", "REST": "host"},
    "some": {"SOME": "0"},
    "behind": {"BEHIND": "1"},
    "outputs": {"OUTPUT": "0"},
    "tail": {"TAIL": "2"},
}
VARIANTS_OF = {
    "flash": 99,
    "plain": 3,
    "apart": 3,
    "piped": 1,
    "partial": 1,
    "some": 1,
    "behind": 1,
    "outputs": 0,
    "tail": 0,
}
# Its graph is another one for one sequence than for several in one cache; a rule says how large it can be.
BY_RULE = ("minimax-m3",)
OF_LOGITS = ("outputs", "tail")
OF_EXPERTS = ("apart", "some", "behind")
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32)  # of a mask beside a row of the batch
LARGEST = 16  # no sum holds a width more often
Metadata = dict[str, Any]
Plane = tuple[float, ...]
Points = tuple["dict[str, float]", "dict[str, int]"]  # the same, by table
Regime = tuple[bool, "tuple[float, ...]", Plane]  # as in tables.py
Curve = packed.Curve
Point = tuple[float, "dict[str, int]"]  # values for one token besides the masks, features
# What is varied, and the feature that a slope is put down to; in this order: later ones move earlier ones too.
# A step is keys and what is added to each; 0 adds as much as keeps heads whole.
STEPS: tuple[tuple[str, dict[str, int]], ...] = (
    ("routed_ff", {"expert_feed_forward_length": 32}),
    ("ff", {"feed_forward_length": 32}),
    ("routed_width", {"expert_used_count": 1}),
    ("shared", {"expert_shared_feed_forward_length": 32}),
    ("experts", {"expert_count": 8}),
    ("groups", {"ssm.group_count": 0}),
    ("inner", {"ssm.inner_size": 0, "ssm.time_step_rank": 0}),
    ("kv", {"attention.head_count_kv": 0}),
    ("query", {"attention.head_count": 0}),
    ("per_layer", {"embedding_length_per_layer_input": 32}),
    ("width", {"embedding_length": 32}),
)
# Where widths are tied to each other.
JOINT: tuple[tuple[str, dict[str, int]], ...] = (
    ("inner", {"embedding_length": 32, "ssm.inner_size": 64}),
    ("width", {"embedding_length": 0, "attention.head_count": 0}),
    ("width", {"embedding_length": 0, "attention.head_count": 0, "attention.head_count_kv": 0}),
)
# Where the slopes are taken, besides the published geometries: factors.
VARIANTS: tuple[dict[str, float], ...] = (
    {},
    {"feed_forward_length": 0.25, "expert_feed_forward_length": 0.25, "expert_shared_feed_forward_length": 0.25},
    {"feed_forward_length": 4, "expert_feed_forward_length": 4},
    {"attention.head_count": 4},
    {"attention.head_count": 4, "feed_forward_length": 0.25, "expert_used_count": 0.5},
    {"expert_used_count": 2, "expert_feed_forward_length": 0.5},
    {"expert_shared_feed_forward_length": 8},
    {"embedding_length": 2, "feed_forward_length": 0.5},
    {"embedding_length": 4, "attention.head_count": 2},
    {"embedding_length": 0.5, "expert_feed_forward_length": 2},
    {"expert_used_count": 0.25, "expert_feed_forward_length": 0.5, "expert_shared_feed_forward_length": 0.5},
    {"embedding_length": 2, "expert_used_count": 2, "expert_feed_forward_length": 0.25},
)


class Bench:
    """A model under the oracle."""

    def __init__(self, oracle: Oracle, path: str) -> None:
        self.oracle, self.path = oracle, path

    def write(self, name: str, metadata: Metadata) -> hparams.Hparams:
        """Make the model the one that is measured."""
        sparse.write(self.path, metadata, [])
        tensors = published.tensors(name, metadata, self.oracle.ask("shape", model=self.path)["tensors"])
        sparse.write(self.path, metadata, tensors)
        return hparams.read(recorded.make_header(metadata, tensors))

    def measure(self, name: str, metadata: Metadata, way: str, more: int = 0) -> Points:
        """By table the values for one token in a compute buffer besides the masks, and the features."""
        cells = CELLS[way != "plain"] + more
        hp = self.write(name, metadata)
        return self.values(hp, way, cells), shapes.features(hp, cells if hp.traits.cache else TOKENS)

    def values(self, hp: hparams.Hparams, way: str, cells: int, full: bool = False) -> dict[str, float]:
        """By table the values for one token in a compute buffer, besides what enters it, or besides the logits."""
        count, outputs = len(hp.layers), TOKENS if way in OF_LOGITS else 1
        launch = {"ctx_size": cells, "parallel": 1, "kv_unified": True, "n_outputs_max": outputs, "swa_full": full,
                  "ubatch_size": TOKENS, "batch_size": TOKENS, "flash_attn": way != "plain"}  # fmt: skip
        placed: dict[str, Any] = {
            "piped": {"devices": 3, "tensor_split": split(count, 3)},
            "tail": {"devices": 3, "tensor_split": split(count, 3)},
            "apart": {"devices": 1, "n_cpu_moe": count},
            "some": {"devices": 1, "n_cpu_moe": count // 2},
            "behind": {"devices": 2, "n_cpu_moe": count // 4, "tensor_split": split(count, 2)},
            "partial": {"devices": 1, "gpu_layers": count * 2 // 3},
        }.get(way, {"devices": 1})
        answer = self.oracle.ask("probe", model=self.path, **launch, **placed)["main"]
        shares = {key: value for key, value in placed.items() if key != "devices"}
        asked = Launch(**{**launch, **shares, "tensor_split": tuple(shares.get("tensor_split", ()))})
        ctx, placement = context(hp, asked), layers.place(hp, asked, placed["devices"])
        known = {}
        for table, device in WAYS[way].items():
            if device not in answer:
                continue
            if way == "outputs":
                beside = 4 * TOKENS * hp.vocabulary
            elif device == "host":
                beside = compute.masks(hp, asked, ctx, TOKENS)
            else:
                beside = compute.entering(hp, asked, ctx, placement, TOKENS, int(device))
                beside += 4 * TOKENS * hp.vocabulary if way == "tail" else 0
            known[table] = (answer[device]["compute"] - beside) / 4 / TOKENS
        return known


def shortened(metadata: Metadata) -> Metadata:
    """With as many layers as the widths of one need; architectures that count their layers keep them."""
    arch = metadata["general.architecture"]
    count = metadata[f"{arch}.block_count"]
    if arch in COUNTED or count <= SHORT:
        return metadata
    nextn = metadata.get(f"{arch}.nextn_predict_layers", 0)
    found = {
        key: [*value[: SHORT - nextn], *value[count - nextn :]]
        if isinstance(value, list) and len(value) == count
        else value
        for key, value in metadata.items()
    }
    shared = f"{arch}.attention.shared_kv_layers"
    return {**found, f"{arch}.block_count": SHORT, **({shared: min(found[shared], 4)} if shared in found else {})}


def scaled(metadata: Metadata, factors: dict[str, float]) -> Metadata | None:
    """A variant; None where a factor has nothing to apply to."""
    arch, found = metadata["general.architecture"], dict(metadata)
    applied = not factors
    for key, factor in factors.items():
        value = found.get(f"{arch}.{key}")
        if value:
            found[f"{arch}.{key}"] = (
                [int(item * factor) for item in value] if isinstance(value, list) else max(1, int(value * factor))
            )
            applied = True
    return found if applied else None


def stepped(metadata: Metadata, step: dict[str, int]) -> Metadata | None:
    """With the step taken; None where the model has no such key."""
    arch, found = metadata["general.architecture"], dict(metadata)
    for key, amount in step.items():
        value = found.get(f"{arch}.{key}")
        if not value:
            return None
        more = amount or _natural(metadata, arch, key, len(step) > 1)
        found[f"{arch}.{key}"] = (
            [item + more if item else 0 for item in value] if isinstance(value, list) else value + more
        )
    return found


def _natural(metadata: Metadata, arch: str, key: str, joint: bool) -> int:
    """A step that keeps heads whole, and widths of several keys in step."""
    kv, heads = metadata.get(f"{arch}.attention.head_count_kv", 1), metadata.get(f"{arch}.attention.head_count", 1)
    if key in ("attention.head_count", "attention.head_count_kv"):
        return max(kv) if isinstance(kv, list) else max(kv, 1)
    if key == "embedding_length":
        each = metadata[f"{arch}.{key}"] // (max(heads) if isinstance(heads, list) else heads or 1)
        return int(each * (max(kv) if isinstance(kv, list) else kv))
    value = metadata[f"{arch}.{key}"]
    if joint and key == "ssm.time_step_rank" and "embedding_length" in metadata:
        return 0
    return int(value)


def planes_at(
    bench: Bench, name: str, metadata: Metadata, way: str, points: dict[str, list[Point]]
) -> tuple[dict[str, int], dict[str, Plane]]:
    """The features of a geometry, and by table the sum of tensors that is the largest there, as coefficients of them.

    Every geometry measured is added to the points.
    """
    base, known = bench.measure(name, metadata, way)
    steps: list[tuple[str, Points]] = []
    if way == "plain":
        steps.append(("scores", bench.measure(name, metadata, way, 256)))
    # where widths are equal, tensors take each other's place: keep them so
    equal = known["query"] == known["width"]
    for feature, step in [*STEPS[:-3], *JOINT[1:], *STEPS[-3:], *JOINT] if equal else [*STEPS, *JOINT]:
        moved = stepped(metadata, step)
        if (
            moved is None
            or any(feature == done for done, _other in steps)
            or (feature == "query" and equal and steps[-1][0] == "width")
        ):
            continue
        try:
            steps.append((feature, bench.measure(name, moved, way)))
        except OracleFailed:
            pass
    for values, features in [(base, known), *(point for _other, point in steps)]:
        for table, value_ in values.items():
            points.setdefault(table, []).append((value_, features))
    return known, {
        table: _solve((base[table], known), [(feature, (point[0][table], point[1])) for feature, point in steps])
        for table in base
    }


def _solve(base: Point, steps: list[tuple[str, Point]]) -> Plane:
    found = dict.fromkeys(shapes.FEATURES, 0.0)
    known = base[1]
    for feature, point in steps:
        if not found[feature]:
            _slope(found, feature, base, point)
    rest = base[0] - sum(found[key] * known[key] for key in found)
    if not found["width"] and rest > known["width"] / 8:
        found["width"] = round(4 * rest / known["width"]) / 4
        rest = base[0] - sum(found[key] * known[key] for key in found)
    if not (all(0 <= factor <= LARGEST for factor in found.values()) and -64 < rest < 64 + base[0] / 200):
        # the slopes make no sum of tensors: as measured, and in proportion to the width
        scores = min(max(found["scores"], 0.0), 2.0)
        found = {**dict.fromkeys(shapes.FEATURES, 0.0), "scores": scores}
        found["width"] = round((base[0] - scores * known["scores"]) / known["width"], 2)
        rest = 0.0
    return (*found.values(), float(round(rest)) if rest > 8 else 0.0)


def _slope(found: dict[str, float], feature: str, before: Point, after: Point) -> None:
    change = {key: after[1][key] - before[1][key] for key in found}
    if not change[feature]:
        feature = max(change, key=lambda key: change[key])
    rest = after[0] - before[0] - sum(found[key] * change[key] for key in found)
    found[feature] += round(4 * rest / change[feature]) / 4 if change[feature] else 0.0


def planes(
    bench: Bench, name: str, way: str, points: dict[str, list[Point]]
) -> Iterator[tuple[dict[str, int], str, Plane]]:
    """The planes of a model and its variants, each with where it was measured and its table."""
    for factors in VARIANTS[: VARIANTS_OF[way]]:
        metadata = scaled(shortened(geometry.MODELS[name]), factors)
        try:
            if metadata is not None:
                known, found = planes_at(bench, name, metadata, way, points)
                yield from ((known, table, plane) for table, plane in found.items())
        except OracleFailed:
            continue


def regimes(found: list[tuple[dict[str, int], Plane]], points: list[Point]) -> list[Regime]:
    """The planes that are sums of tensors, each with where it was measured.

    The allocator fills holes, so which sum holds depends on which tensors fit into the holes of others: a plane is
    true around the geometry where it was measured. One that lies above no measured point is true everywhere.
    """
    kept: dict[tuple[Plane, tuple[float, ...]], Regime] = {}
    for known, plane in found:
        sure = all(value(plane, other) <= measured * 1.01 + 64 for measured, other in points)
        regime = (sure, shapes.ratios(known), plane)
        kept.setdefault((plane, regime[1]), regime)
    return sorted(kept.values())


def value(plane: Plane, known: dict[str, int]) -> float:
    return sum(factor * known[key] for factor, key in zip(plane, shapes.FEATURES)) + plane[-1]


def curves(
    bench: Bench, name: str, way: str, planes_of: dict[str, dict[str, list[Regime]]]
) -> Iterator[tuple[str, tuple[float, ...], Curve]]:
    """By table what masks of every size move at a published geometry, in rows of the batch."""
    hp = bench.write(name, geometry.MODELS[name])
    found: dict[str, dict[float, float]] = {}
    for wanted in SHARES:
        cells = max(256, round(wanted * 2 * hp.width / 256) * 256)
        where = round(shapes.share(hp, cells), 4)
        for full in (False, True) if hp.slides and hp.traits.cache else (False,):  # the smallest and the largest window
            try:
                values = bench.values(hp, way, cells, full)
            except OracleFailed:
                continue
            for table, measured in values.items():
                regimes_ = planes_of.get(table, {}).get(hp.architecture)
                sums = shapes.largest(regimes_, shapes.features(hp, cells)) if regimes_ else 0.0
                rows = round((measured - sums) / hp.width, 2)
                points = found.setdefault(table, {})
                points[where] = max(rows, points.get(where, rows))
    for table, points in found.items():
        yield table, shapes.ratios(shapes.features(hp, 0)), _thinned(list(points.items()))


def _thinned(points: list[tuple[float, float]]) -> Curve:
    """Without points between two of the same height."""
    kept = [
        point
        for number, point in enumerate(points)
        if number in (0, len(points) - 1)
        or not points[number - 1][0] < point[0]
        or len({points[number - 1][1], point[1], points[number + 1][1]}) > 1
    ]
    return tuple(dict(kept).items())


def main() -> None:
    only_curves = "--curves" in sys.argv
    program, worker, *more = [word for word in sys.argv[1:] if word != "--curves"]
    ways, wanted = more[0].split(",") if more else list(WAYS), more[1:]
    tables: dict[str, dict[str, list[Regime]]] = {
        table: {arch: list(packed.regimes(table, arch)) for arch in coefficients.TABLES.get(table, {})}
        for way in WAYS
        for table in WAYS[way]
        if way not in OF_LOGITS
    }
    holes: dict[str, dict[str, list[Any]]] = {
        table: {arch: list(packed.curves(table, arch)) for arch in coefficients.HOLES.get(table, {})}
        for way in WAYS
        for table in WAYS[way]
    }
    by_arch: dict[str, list[str]] = {}
    for name, metadata in geometry.MODELS.items():
        if metadata["general.architecture"] not in BY_RULE:
            by_arch.setdefault(metadata["general.architecture"], []).append(name)
    with tempfile.TemporaryDirectory() as folder, Oracle(program, worker, 3) as oracle:
        bench = Bench(oracle, os.path.join(folder, "model.gguf"))
        for arch in wanted or sorted(by_arch):
            for way in ways:
                names = by_arch[arch]
                if way in OF_EXPERTS:
                    names = [name for name in by_arch[arch] if f"{arch}.expert_count" in geometry.MODELS[name]]
                if not only_curves or not any(tables.get(table, {}).get(arch) for table in WAYS[way]):
                    _fit(bench, arch, names[-2:] if way in OF_EXPERTS else names[-3:], way, tables)
                if way != "plain":
                    measured = [entry for name in names for entry in curves(bench, name, way, tables)]
                    for table in WAYS[way]:
                        kept = [(where, curve) for of, where, curve in measured if of == table]
                        holes[table].pop(arch, None)
                        if any(abs(rows) >= 0.02 for _other, curve in kept for _share, rows in curve):
                            holes[table][arch] = sorted(dict(kept).items())
            print(f"{arch}: done", flush=True)
            TARGET.write_text(render(tables, holes))


def _fit(bench: Bench, arch: str, names: list[str], way: str, tables: dict[str, dict[str, list[Regime]]]) -> None:
    """Measure the sums of an architecture launched in one way."""
    points: dict[str, list[Point]] = {}
    found = [entry for name in names for entry in planes(bench, name, way, points)]
    for table in points:
        tables[table][arch] = kept = regimes(
            [(known, plane) for known, of, plane in found if of == table], points[table]
        )
        errors = [(shapes.largest(kept, known) - measured) / 512 for measured, known in points[table]]
        print(
            f"{arch} {table}: {len(errors)} points, {len(kept)} planes, {min(errors):.1f} to {max(errors):.1f} MiB",
            flush=True,
        )


def render(tables: dict[str, dict[str, list[Regime]]], holes: dict[str, dict[str, list[Any]]]) -> str:
    """The text of coefficients.py."""
    return "\n".join([*HEAD, *_table("TABLES", tables), *_table("HOLES", holes)]) + "\n"


def _table(name: str, tables: dict[str, dict[str, list[Any]]]) -> list[str]:
    lines = ["", f"{name}: dict[str, dict[str, str]] = {{"]
    for table, rows in tables.items():
        lines.append(f'    "{table}": {{')
        for arch, found in sorted(rows.items()):
            text = json.dumps(_shortened(found), separators=(",", ":"))
            parts = [text[at : at + PACKED] for at in range(0, len(text), PACKED)]
            lines += [f'        "{arch}": (', *(f'            "{part}"' for part in parts), "        ),"]
        lines.append("    },")
    return [*lines, "}"]


def _shortened(value: Any) -> Any:
    """Numbers in as few digits as they need."""
    if isinstance(value, (list, tuple)):
        return [_shortened(item) for item in value]
    return value if isinstance(value, bool) else _short(value)


def _short(number: float) -> float:
    return int(number) if number == int(number) else number


HEAD = '''\
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated by tests/bench/planner/fit.py: do not edit.

By architecture the sums of tensors that live at once in a compute buffer: whether the sum holds for every geometry, the
geometry where it was measured (shapes.ratios), and multiples of shapes.FEATURES and a constant; values (of four
bytes) for one token, as JSON that tables.py reads. FLASH with flash attention, PLAIN without; APART where the host
computes all experts, EXPERTS the host then; FIRST, MIDDLE and LAST of several devices with batches in flight, with
their copies of inputs; PARTIAL where some layers lie on the host, REST the host then; SOME where some experts do,
BEHIND a device behind that one. HOLES has by table, architecture and geometry how many rows of the batch more (or
fewer) were measured with a mask of so many rows; of OUTPUT all rows besides the logits. What is not here was never
measured.
"""

from __future__ import annotations

MEASURED_WITH = "0.5.0-dev, commit 0c1e570"
'''.splitlines()


if __name__ == "__main__":
    main()
