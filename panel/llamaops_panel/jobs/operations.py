# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel can do to hosts: the playbooks of the collection, with the fields they take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.model import modelref

from . import fields, specs
from .fields import Field

PREVIEWED = "llama_instances__panel"  # what an edit would write, for a run that only checks
OPERATOR, ADMIN = "operator", "admin"
Shape = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Operation:
    """One thing that can be done. `needs` is the least role of a user; `disruptive` may interrupt what serves."""

    name: str
    title: str
    playbook: str
    help: str
    fields: tuple[Field, ...] = ()
    needs: str = OPERATOR
    disruptive: bool = False
    fixed: Mapping[str, Any] | None = None
    shape: Shape | None = None

    def document(self) -> dict[str, Any]:
        """For the API and for forms."""
        found = {key: getattr(self, key) for key in ("name", "title", "playbook", "help", "needs", "disruptive")}
        return {**found, "fields": [field.document() for field in self.fields if field.name != PREVIEWED]}

    def variables(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The extra variables of the playbook.

        :raises InvalidInput: a value is wrong or missing.
        """
        checked = fields.check(self.title, self.fields, given)
        found = dict(self.fixed or {})
        if self.shape:
            return {**found, **self.shape(checked)}
        for field in self.fields:
            if field.name in checked:
                value = checked[field.name]
                found[field.variable or field.name] = ",".join(value) if field.kind == "names" else value
        return found


@cache
def operations() -> Mapping[str, Operation]:
    """All operations by name, in the order in which a menu shows them."""
    return {each.name: each for each in (*_instances(), *_builds(), *_models(), *_hosts())}


def get(name: str) -> Operation:
    """:raises InvalidInput: there is none of this name."""
    found = operations().get(name)
    if found is None:
        raise InvalidInput(f"There is no operation {name!r}.", f"Possible: {', '.join(operations())}.")
    return found


def _names(required: bool = True, title: str = "Instances") -> Field:
    said = "Names of instances." if required else "Names of instances; none: all of the host."
    return Field("instance", "names", title, said, required=required)


def _instances() -> tuple[Operation, ...]:
    edit = Field(PREVIEWED, "table", "Edited instances", "What the panel's file of the host would say.")
    return (
        Operation(
            *("deploy", "Deploy", "deploy", "Bring instances to what the inventory says, and prove that they answer."),
            fields=(_names(required=False), edit),
            disruptive=True,
        ),
        Operation(
            *("start", "Start", "start", "Start instances, also those that the inventory has stopped."),
            fields=(_names(), edit),
        ),
        Operation(
            *(
                "stop",
                "Stop",
                "stop",
                "Stop instances when their requests are done, until they are started or deployed.",
            ),
            fields=(_names(), edit),
            disruptive=True,
        ),
        Operation(
            *(
                "restart",
                "Restart",
                "restart",
                "Restart instances one after the other, each when its requests are done.",
            ),
            fields=(_names(), edit),
            disruptive=True,
        ),
        Operation(
            *(
                "delete",
                "Delete",
                "delete",
                "Stop instances that left the inventory, and remove their units. Models stay.",
            ),
            fields=(_names(), edit),
            disruptive=True,
        ),
        Operation(
            *(
                "adopt",
                "Adopt",
                "deploy",
                "Take a server that somebody else started under management, without a restart.",
            ),
            fields=(_names(), edit),
        ),
    )


def _builds() -> tuple[Operation, ...]:
    words = [
        *("source", "backend", "cpu", "architectures", "cuda_home", "cuda_runtime", "rocm_home", "blas"),
        *("cmake_options", "jobs", "activate", "keep", "builder", "speed_gate", "refused"),
    ]
    build = tuple(specs.role("llama_build", f"llama_build_{word}", word) for word in words)
    target = Field("build", "text", "Build", "Id of a build that is on the hosts.", "llama_rollback_to", required=True)
    return (
        Operation(
            *("build", "Build", "build", "Compile llama.cpp, prove the build and make it the active one."), fields=build
        ),
        Operation(
            *("activate", "Activate", "rollback", "Make a build the active one, and restart the instances on it."),
            fields=(target,),
            disruptive=True,
        ),
        Operation(
            *("rollback", "Roll back", "rollback", "Back to the build that was active before; restarts the instances."),
            disruptive=True,
        ),
        Operation(
            *("update", "Update", "update", "Newer llama.cpp: build, prove, compare, then restart host after host."),
            fields=tuple(field for field in build if field.name == "speed_gate"),
            disruptive=True,
        ),
    )


def _models() -> tuple[Operation, ...]:
    model = {name: specs.module("gguf_model", f"models.{name}") for name in ("source", "revision", "mmproj", "draft")}
    name = specs.module("gguf_model", "models.name", required=False)
    wanted = (Field(**{**vars(model.pop("source")), "required": True}), name, *model.values())
    files = specs.module("gguf_model", "models.files")
    checksum = specs.module("gguf_model", "models.checksum")
    return (
        Operation(*("models", "Bring models", "models", "Bring the models of the inventory onto the hosts.")),
        Operation(
            *("download", "Download a model", "models", "Bring one model onto the hosts, and nothing else."),
            fields=(*wanted, files, checksum),
            shape=_download,
        ),
        Operation(
            *("gc", "Remove unused models", "models", "Remove the files of models that no set has and no unit names."),
            fixed={"gc": True},
        ),
        Operation(*("bench", "Benchmark", "bench", "Measure models with llama-bench."), fields=_bench(False)),
        Operation(
            *("compare", "Compare builds", "bench", "Measure models on several builds, for a comparison."),
            fields=_bench(True),
        ),
    )


def _bench(compare: bool) -> tuple[Field, ...]:
    builds = Field(
        *("builds", "list", "Builds", "Ids of builds to measure; none: the active one.", "llama_bench_builds"),
        required=compare,
    )
    models = Field("models", "list", "Models", "Names of model sets or paths; none: all.", "llama_bench_models")
    tests = specs.module("llama_bench", "tests", variable="llama_bench_tests")
    more = [
        specs.module("llama_bench", name, variable=f"llama_bench_{name}")
        for name in ("devices", "force", "max_age", "allow_busy")
    ]
    return (models, builds, tests, *more)


def _download(given: Mapping[str, Any]) -> dict[str, Any]:
    """One model as the only one that the role sees."""
    entry = dict(given)
    name = entry.pop("name", None) or modelref.set_name(str(entry["source"]))
    return {"llama_models_sets": {name: entry}, "llama_models_instances": []}


def _hosts() -> tuple[Operation, ...]:
    reason = Field("reason", "text", "Reason", "Why, for whoever finds the host out of service.")
    drain = specs.module("llama_cordon", "drain_timeout", variable="drain_timeout")
    lines = specs.module("llama_support", "lines", variable="lines")
    workers = Field("worker", "names", "Workers", "Names of workers; none: all of the host.")
    return (
        Operation(*("site", "Set up", "site", "Everything from an empty host to a served token."), needs=ADMIN),
        Operation(
            *(
                "recover",
                "Recover",
                "recover",
                "Bring hosts back to what the inventory says; restarts nothing that serves.",
            )
        ),
        Operation(
            *("cordon", "Cordon", "cordon", "Take hosts out of service: drain their instances and keep them stopped."),
            fields=(reason, drain),
            disruptive=True,
        ),
        Operation(*("uncordon", "Uncordon", "uncordon", "Let hosts serve again, with what the inventory says now.")),
        Operation(
            *("support", "Support bundle", "support", "A redacted archive of what explains a host."), fields=(lines,)
        ),
        Operation(
            *("workers", "Restart workers", "workers", "Restart workers; their heads load again."),
            fields=(workers,),
            disruptive=True,
        ),
    )
