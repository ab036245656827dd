# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""collect.py ORACLE WORKER [MODEL...]: write models.json and rows.json of tests/fixtures/planner anew."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "unit" / "core" / "memory")]

import geometry  # noqa: E402
import launches  # noqa: E402
import published  # noqa: E402
import recorded  # noqa: E402
import sparse  # noqa: E402
from oracle import Oracle, OracleFailed  # noqa: E402


def main() -> None:
    known = {**geometry.MODELS, **geometry.HELD_OUT}
    program, worker, names = sys.argv[1], sys.argv[2], sys.argv[3:] or list(known)
    keep = bool(sys.argv[3:])
    models = dict(recorded.models()) if keep else {}
    rows = [row for row in recorded.rows() if row["model"] not in names] if keep else []
    with tempfile.TemporaryDirectory() as folder, Oracle(program, worker, 4) as oracle:
        path = os.path.join(folder, "model.gguf")
        for name in names:
            metadata = known[name]
            sparse.write(path, metadata, [])
            shape = oracle.ask("shape", model=path)
            tensors = published.tensors(name, metadata, shape["tensors"])
            sparse.write(path, metadata, tensors)
            models[name] = {"metadata": metadata, "tensors": recorded.pack(tensors), "hparams": None}
            for launch in launches.of(metadata):
                try:
                    answer = oracle.ask("probe", model=path, hparams=True, **launch)
                except OracleFailed as exc:
                    print(f"{name} {launch}: {exc}"[:400], file=sys.stderr)
                    continue
                models[name]["hparams"] = _short(answer["hparams"])
                rows.append({"model": name, "launch": launch, **cells(answer)})
    recorded.FOLDER.mkdir(parents=True, exist_ok=True)
    _write("models.json", models)
    rows.sort(key=lambda row: list(models).index(row["model"]))
    (recorded.FOLDER / "rows.json").write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


def cells(answer: dict) -> dict:
    """What an answer says of the bytes of every device: `[model, context, compute]`."""
    return {
        part: {device: [cell["model"], cell["context"], cell["compute"]] for device, cell in answer[part].items()}
        for part in ("main", "mtp")
        if part in answer
    }


def _short(hparams: dict) -> dict:
    """Layers as columns."""
    layers = hparams.pop("layers")
    return {**hparams, **{key: [int(layer[key]) for layer in layers] for key in layers[0]}}


def _write(name: str, models: dict) -> None:
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in models.items()]
    (recorded.FOLDER / name).write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
