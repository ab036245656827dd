# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a command of llama-server that somebody has to the entry of an inventory that gives the same server."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..build.capabilities import Capabilities, Option
from ..errors import InvalidInput
from ..names import did_you_mean
from . import cmdline, options, shellwords, spec, values
from .definition import LOG_LEVELS

# flag -> field, where the value is taken as it is
_PLAIN = {
    "--model": "model",
    "--mmproj": "mmproj",
    "--port": "port",
    "--ctx-size": "ctx_size",
    "--parallel": "parallel",
    "--cache-type-k": "cache_type_k",
    "--cache-type-v": "cache_type_v",
    "--gpu-layers": "gpu_layers",
    "--split-mode": "split_mode",
    "--tensor-split": "tensor_split",
    "--main-gpu": "main_gpu",
    "--cpu-moe": "cpu_moe",
    "--n-cpu-moe": "n_cpu_moe",
    **cmdline.EITHER,
}
_NUMBERS = ("--port", "--main-gpu")  # numbers that the help does not call so
_TUNING = {f"--spec-draft-{flag}": key for key, flag in spec.TUNING.items()}
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
# what every instance gets anyway
_OURS = {flag[0]: flag[1:] for flag in cmdline.ALWAYS if len(flag) > 1}
_PLAIN_YAML = re.compile(r"[A-Za-z/][\w./-]*")
_YAML_WORDS = {"on", "off", "yes", "no", "true", "false", "null", "y", "n"}


@dataclass
class Parsed:
    """An entry of an inventory, and what a person has to do or know. Keys are named, never shown."""

    name: str
    entry: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def yaml(self) -> str:
        """The entry as YAML, one key a line."""
        return "\n".join([f"{self.name}:", *(f"  {key}: {_shown(value)}" for key, value in self.entry.items())]) + "\n"


def parse(text: str, document: Mapping[str, Any]) -> Parsed:
    """Understand a pasted command, with all its spellings and environment variables.

    :param text: `NAME=value ... llama-server ...`, with line continuations, or a whole unit.
    :param document: the capability document of the build the instance shall use.
    :raises InvalidInput: it is no such command, or this build does not take it.
    """
    return understand(shellwords.read(text), document)


def understand(words: shellwords.Words, document: Mapping[str, Any]) -> Parsed:
    """The same for a command that is already taken apart, such as that of a process.

    :raises InvalidInput: this build does not take it.
    """
    reader = _Reader(Capabilities(document))
    for name, value in words.env.items():
        reader.variable(name, value)
    reader.arguments(words.arguments)
    return reader.finish()


class _Reader:
    def __init__(self, known: Capabilities) -> None:
        self.known = known
        self.by_variable = {name: option for option in known.options for name in option.env}
        self.found: dict[str, tuple[Option, bool, list[str]]] = {}
        self.entry: dict[str, Any] = {}
        self.spec: dict[str, Any] = {}
        self.options: dict[str, Any] = {}
        self.unsafe: list[str] = []
        self.env: dict[str, str] = {}
        self.notes: list[str] = []

    def variable(self, name: str, value: str) -> None:
        """One assignment before the command. Arguments beat it, so it comes first."""
        option = self.by_variable.get(name)
        if option is not None:
            off = name.startswith("LLAMA_ARG_NO_") or value.lower() in ("0", "off", "false", "disabled")
            if option.takes:
                self._take(option, True, [value])
            elif not off or option.negative:
                self._take(option, not off, [])
        elif name in _VISIBLE and value and all(re.match(r"GPU-|MIG-", item) for item in value.split(",")):
            self.entry["devices"] = value.split(",")
        elif name in _VISIBLE:
            self.notes.append(f"{name} counts cards; name them by UUID in devices (see gpu_facts).")
        elif name.startswith("LLAMA_ARG_"):
            self.notes.append(f"{name} means nothing to this build and is left out.")
        elif values.SECRET_WORD.search(name):
            self.notes.append(f"{name} looks like a secret and is left out; an instance takes secrets from keys only.")
        elif name not in cmdline.ENVIRONMENT:
            self.env[name] = value

    def arguments(self, words: list[str]) -> None:
        while words:
            flag = words[0]
            found = self.known.find(flag) if flag.startswith("-") else None
            if found is None:
                raise self._unknown(flag)
            option, sets = found
            if option.removed is not None:
                raise InvalidInput(f"{flag} was removed from llama.cpp.", f"Upstream says: {option.removed}.")
            taken = words[1 : 1 + option.takes]
            if len(taken) < option.takes:
                raise InvalidInput(f"{flag} needs {option.takes} value(s) and the command ends.")
            self._take(option, sets, taken)
            words = words[1 + option.takes :]

    def _take(self, option: Option, sets: bool, taken: list[str]) -> None:
        before = self.found.get(option.name)
        if before and option.accumulates:
            taken = [*before[2], *taken]
        self.found[option.name] = (option, sets, taken)

    def _unknown(self, flag: str) -> InvalidInput:
        if not flag.startswith("-"):
            return InvalidInput("A word stands where a flag is needed.", "Are all values with blanks in quotes?")
        name = flag.split("=")[0][:40]
        if self.known.find(name):
            return InvalidInput(f"{name} takes its value after a blank, not after '='.")
        spellings = [word for option in self.known.options for word in option.names]
        return InvalidInput(f"llama.cpp {self.known.version} has no flag {name}.", did_you_mean(name, spellings))

    def finish(self) -> Parsed:
        for flag, (option, sets, taken) in self.found.items():
            self._place(flag, option, sets, taken)
        if not self.entry.get("model") and "--models-preset" not in self.found:
            self.notes.append("No model is named: set model.")
        self.entry.setdefault("port", 8080)
        if str(self.entry.get("bind", "")).startswith("/"):
            del self.entry["port"]
        self._settle()
        extra = {"spec": self.spec, "options": self.options, "allow_unsafe": self.unsafe, "env": self.env}
        self.entry.update({key: value for key, value in extra.items() if value})
        name = self.entry.get("alias", [None])[0] or str(self.entry.get("model", "")).rpartition("/")[2]
        slug = re.sub(r"[^a-z0-9]+", "-", re.sub(r"\.gguf$", "", name.lower())).strip("-")[:40].strip("-") or "chat"
        if self.entry.get("alias") == [slug]:
            del self.entry["alias"]
        if "keys" in self.entry:
            self.entry["keys"] = [slug]
            self.notes.append(f"Put the API key into llama_keys as {slug!r}, in a vault; it is not shown here.")
        return Parsed(slug, self.entry, self.notes)

    def _settle(self) -> None:
        """Say what upstream would choose by itself."""
        if "parallel" not in self.entry:
            self.notes.append("Without --parallel llama-server chooses its slots; here it is 1 unless you set it.")
        if self.entry.get("parallel") == -1:
            self.entry["parallel"] = values.AUTO
        if self.entry.get("ctx_size") == 0:
            del self.entry["ctx_size"]
            self.notes.append("--ctx-size 0 means what the model was trained for: set ctx_size to that number.")
        if spec.MTP in self.spec.get("type", ()):
            self.spec.setdefault("draft", spec.OWN)  # what upstream does without a draft model
        elif self.spec.get("draft") and "type" not in self.spec:
            self.notes.append("A draft without --spec-type is loaded and never used: add spec.type, or leave it out.")

    def _place(self, flag: str, option: Option, sets: bool, taken: list[str]) -> None:
        """Put one option into the field that stands for it, or among the options."""
        text = taken[0] if taken else ""
        if flag in _PLAIN:
            self.entry[_PLAIN[flag]] = _value(option, sets, taken)
        elif flag in _TUNING:
            self.spec[_TUNING[flag]] = text.split(",") if flag.endswith("-device") else _value(option, sets, taken)
        elif flag.startswith("--spec-ngram-") and option.takes:
            key = flag[len("--spec-ngram-") :].replace("-", "_")
            self.spec.setdefault("ngram", {})[key] = _value(option, sets, taken)
        elif flag in _SPECIAL:
            _SPECIAL[flag](self, text)
        elif flag in options.FIXED or flag in options.OWNED:
            if (text,) != _OURS.get(flag) and flag != "--log-jsonl":
                self.notes.append(
                    f"{flag} is left out: logs are the same for every instance, and a plan replaces --fit."
                )
        elif flag in options.PROBES:
            raise InvalidInput(f"{flag} makes the server print something and end.", "Leave it out.")
        elif flag in options.REMOTE or option.downloads:
            self.notes.append(f"{flag} is left out: fetch files with gguf_model (llama_models) and name them here.")
        elif (flag, sets) != ("--ui", False) and (text,) != _OURS.get(flag):
            self.options[flag[2:].replace("-", "_")] = _value(option, sets, taken)
            if flag in options.DANGEROUS and (sets or option.takes):
                self.unsafe.append(flag[2:].replace("-", "_"))

    # one method a flag that has a field of another form

    def _bind(self, text: str) -> None:
        known = {"127.0.0.1": "loopback", "localhost": "loopback", "0.0.0.0": "public"}
        bind = known.get(text, text)
        if bind != "loopback":
            self.entry["bind"] = bind

    def _keys(self, text: str) -> None:
        self.entry["keys"] = []

    def _repository(self, text: str) -> None:
        self.entry["model"] = text

    def _device(self, text: str) -> None:
        if text == "none":
            self.entry["devices"] = "none"
        elif "devices" not in self.entry:
            self.notes.append("--device counts cards; name them by UUID in devices (see gpu_facts).")

    def _rpc(self, text: str) -> None:
        self.entry["rpc"] = [
            {"host": address.rpartition(":")[0], "worker": f"w{number}", "address": address}
            for number, address in enumerate(text.split(","))
        ]
        self.notes.append("rpc: give the workers their inventory hosts and names.")

    def _lora(self, text: str) -> None:
        self.entry["lora"] = text.split(",")

    def _scaled(self, text: str) -> None:
        pairs = [re.fullmatch(r"(.+):(-?[0-9]{1,3}(?:\.[0-9]+)?)", item) for item in text.split(",")]
        if not all(pairs):
            raise InvalidInput("--lora-scaled takes FILE:SCALE, several with commas between them.")
        self.entry["lora"] = [{"file": found[1], "scale": float(found[2])} for found in pairs if found]

    def _level(self, text: str) -> None:
        if (text,) != _OURS["--verbosity"] and re.fullmatch("[1-5]", text):
            self.entry["log_level"] = LOG_LEVELS[int(text) - 1]

    def _router(self, text: str) -> None:
        self.entry["kind"] = "router"
        self.notes.append("A router: list the sections of its presets file in models.")


_SPECIAL: dict[str, Any] = {
    "--host": _Reader._bind,
    "--api-key": _Reader._keys,
    "--api-key-file": _Reader._keys,
    "--hf-repo": _Reader._repository,
    "--device": _Reader._device,
    "--rpc": _Reader._rpc,
    "--lora": _Reader._lora,
    "--lora-scaled": _Reader._scaled,
    "--verbosity": _Reader._level,
    "--models-preset": _Reader._router,
    "--alias": lambda self, text: self.entry.update(alias=text.split(",")),
    "--embedding": lambda self, text: self.entry.update(kind="embedding"),
    "--rerank": lambda self, text: self.entry.update(kind="rerank"),
    "--ssl-cert-file": lambda self, text: self.entry.setdefault("tls", {}).update(cert=text),
    "--ssl-key-file": lambda self, text: self.entry.setdefault("tls", {}).update(key=text),
    "--spec-type": lambda self, text: self.spec.update(type=text.split(",")),
    "--spec-draft-model": lambda self, text: self.spec.update(draft=text),
}


def _value(option: Option, sets: bool, taken: list[str]) -> Any:
    """A value as YAML has it: a number where the option takes numbers, true and false for bare flags."""
    if not option.takes:
        return sets
    if option.accumulates or option.takes > 1:
        return taken
    if (option.number or option.name in _NUMBERS) and re.fullmatch(r"-?[0-9]{1,18}", taken[0]):
        return int(taken[0])
    return taken[0]


def _shown(value: Any) -> str:
    plain = isinstance(value, str) and _PLAIN_YAML.fullmatch(value) and value.lower() not in _YAML_WORDS
    return value if plain else json.dumps(value, ensure_ascii=False)
