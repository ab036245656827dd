# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream of a host: its parts as they change, and answers to what is asked meanwhile.

It opens no port: whoever has a shell on the host reads and writes it, by standard input and output. It ends when its
input ends.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput, LlamaOpsError
from ..instance.service import Manager
from ..tree import Tree
from . import logfeed
from .answers import Answers, Given
from .lines import SCHEMA, Splitter, decode, encode
from .sections import Sections

SLOW, FASTEST, SLOWEST = 15.0, 0.5, 600.0  # seconds between two looks
_ANSWERERS = 4
_FEEDS = 16  # logs that are followed at once
_UNCHANGING = ("uptime",)  # of an instance: changes with every look and is no news


@dataclass
class Part:
    """A part of what a host says. It is read at most every `least` seconds, and told when it changed or after `most`.

    :param mark: something cheap whose change has it read at once.
    """

    kind: str
    read: Callable[[], dict[str, Any]]
    least: float
    most: float
    mark: Callable[[], object] = lambda: None
    due: float = 0.0
    told: float = 0.0
    seen: object = None
    before: object = None

    def news(self, now: float) -> dict[str, Any] | None:
        """What is to be told now, if anything."""
        mark = self.mark()
        if now < self.due and mark == self.seen:
            return None
        self.due, self.seen = now + self.least, mark
        try:
            found = self.read()
        except LlamaOpsError as exc:
            found = {"error": {"message": exc.problem, "remedy": exc.remedy}}
        except Exception as exc:  # noqa: BLE001  the other parts are still worth telling
            found = {"error": {"message": f"{type(exc).__name__}: {exc}"[:500]}}
        essence = _essence(found)
        if essence == self.before and now - self.told < self.most:
            return None
        self.before, self.told = essence, now
        return {"kind": self.kind, "at": time.time(), **found}


def _essence(found: Mapping[str, Any]) -> object:
    instances = found.get("instances")
    if not isinstance(instances, dict):
        return found
    kept = {
        name: {key: value for key, value in item.items() if key not in _UNCHANGING} for name, item in instances.items()
    }
    return {**found, "instances": kept}


class Watch:
    """Tells and answers until its input ends.

    :param write: writes bytes to whoever watches.
    """

    def __init__(self, tree: Tree, manager: Manager, version: str, write: Callable[[bytes], object]) -> None:
        self.tree, self.manager, self.version = tree, manager, version
        sections = Sections(tree, manager)
        self.parts = [
            Part("load", sections.load, 0, 0),
            Part("status", sections.status, 0, 60),
            Part("builds", sections.builds, 600, 600, sections.build_mark),
            Part("facts", sections.facts, 600, 600, sections.build_mark),
            Part("models", sections.models, 30, 600, sections.model_mark),
            Part("benches", sections.benches, 600, 600, sections.bench_mark),
        ]
        self.answers = Answers(tree, manager)
        self.interval = SLOW
        self._write = write
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._feeds: dict[int, threading.Event] = {}
        self._pool = ThreadPoolExecutor(_ANSWERERS)

    def say(self, message: Mapping[str, Any]) -> None:
        """Send a message; the end of the reader is the end of everything."""
        line = encode(message)
        try:
            with self._writing:
                self._write(line)
        except OSError:
            self.end()

    def hello(self) -> None:
        where = {"root": self.tree.root, "scope": self.tree.scope, "hostname": os.uname().nodename}
        self.say({"kind": "hello", "schema": SCHEMA, "version": self.version, **where, "at": time.time()})

    def run(self, chunks: Iterator[bytes]) -> None:
        """Serve until `chunks`, what comes in, ends."""
        self.hello()
        telling = threading.Thread(target=self._tell, daemon=True)
        telling.start()
        splitter = Splitter()
        for chunk in chunks:
            for line, cut in splitter.feed(chunk):
                self._take(line, cut)
            if self._ended.is_set():
                break
        self.end()

    def end(self) -> None:
        self._ended.set()
        self._wake.set()
        for stop in list(self._feeds.values()):
            stop.set()

    def _tell(self) -> None:
        while not self._ended.is_set():
            for part in self.parts:
                news = part.news(time.monotonic())
                if news is not None:
                    self.say(news)
            self._wake.wait(self.interval)
            self._wake.clear()

    def _take(self, line: bytes, cut: bool) -> None:
        request = None if cut else decode(line)
        if request is None:
            return self.say({"id": None, "error": {"message": "That is no request: {id, do, with} in one line."}})
        number, do, given = request["id"], request["do"], request["with"]
        if do == "interval":
            return self._answer(number, self._interval, given)
        if do == "cancel":
            return self._answer(number, self._cancel, given)
        if do == "logs":
            if number in self._feeds or len(self._feeds) >= _FEEDS:
                return self.say({"id": number, "error": {"message": f"At most {_FEEDS} logs are followed at once."}})
            self._feeds[number] = threading.Event()
            threading.Thread(target=self._follow, args=(number, given), daemon=True).start()
            return None
        if do in ("plan", "preview", "resolve", "capabilities", "paste", "probe"):
            self._pool.submit(self._answer, number, getattr(self.answers, do), given)
            return None
        return self.say({"id": number, "error": {"message": f"{do[:40]!r} cannot be asked here."}})

    def _answer(self, number: int, answer: Callable[[Given], dict[str, Any]], given: Given) -> None:
        try:
            said: dict[str, Any] = {"answer": answer(given)}
        except LlamaOpsError as exc:
            said = {"error": {"message": exc.problem, "remedy": exc.remedy}}
        except OSError as exc:
            message = f"{exc.filename or 'The host'}: {exc.strerror or exc}."
            said = {"error": {"message": message, "remedy": "Correct the path, or let llama-host read it."}}
        except Exception as exc:  # noqa: BLE001  a defect of one answer must not end the stream
            said = {"error": {"message": f"Unexpected {type(exc).__name__}: {exc}"[:500]}}
        self.say({"id": number, **said})

    def _interval(self, given: Given) -> dict[str, Any]:
        seconds = given.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
            raise InvalidInput("seconds must be a number.")
        self.interval = min(max(float(seconds), FASTEST), SLOWEST)
        self._wake.set()
        return {"seconds": self.interval}

    def _cancel(self, given: Given) -> dict[str, Any]:
        stop = self._feeds.get(given["id"]) if isinstance(given.get("id"), int) else None
        if stop is not None:
            stop.set()
        return {"cancelled": stop is not None}

    def _follow(self, number: int, given: Given) -> None:
        stop = self._feeds[number]
        texts = [str(given.get(key) or "") for key in ("name", "after", "since")]
        lines = given.get("lines", 200)
        try:
            count = lines if isinstance(lines, int) else 200
            for batch in logfeed.feed(
                self.manager, texts[0], count, texts[1], texts[2], bool(given.get("follow", True)), stop
            ):
                self.say({"id": number, "lines": batch})
                if stop.is_set():
                    break
            self.say({"id": number, "answer": {"ended": True}})
        except LlamaOpsError as exc:
            self.say({"id": number, "error": {"message": exc.problem, "remedy": exc.remedy}})
        except OSError as exc:
            self.say({"id": number, "error": {"message": f"The log cannot be read: {exc.strerror}."}})
        finally:
            self._feeds.pop(number, None)
