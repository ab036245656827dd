# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inputs of many requests become batches: sorted by length, so that little is padded, and bounded in tokens."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch

_STOP = None


class Overloaded(Exception):
    """More inputs wait than may."""


@dataclass
class Item:
    """One input, a list of token numbers, and the result that somebody waits for."""

    tokens: Sequence[int]
    types: Sequence[int] | None = None  # segment numbers of a pair, for models that know them
    result: Future[Any] = field(default_factory=Future)


class Batcher:
    """A thread that runs a model over what was submitted.

    :param run: takes items, returns one result each, in order.
    :param batch_tokens: the most tokens of a batch, padding included; halved when memory does not suffice.
    :param max_queue: the most items that wait.
    """

    def __init__(self, run: Callable[[Sequence[Item]], Sequence[Any]], batch_tokens: int, max_queue: int) -> None:
        self._run, self.batch_tokens, self._max = run, batch_tokens, max_queue
        self._queue: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self.busy = False
        self.items = self.tokens = self.batches = 0
        self.seconds = 0.0
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return self._waiting

    def submit(self, items: Sequence[Item]) -> list[Future[Any]]:
        """Queue items of one request, all or none.

        :raises Overloaded: they would not fit into the queue.
        """
        with self._lock:
            if self._waiting + len(items) > self._max and self._waiting:
                raise Overloaded(f"{self._waiting} inputs wait already; the limit is {self._max}")
            self._waiting += len(items)
        for item in items:
            self._queue.put(item)
        return [item.result for item in items]

    def stop(self) -> None:
        """End the thread after what was submitted before."""
        self._queue.put(_STOP)
        self._thread.join(timeout=30)

    def _work(self) -> None:
        while (first := self._queue.get()) is not _STOP:
            items, more = [first], True
            while more:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is _STOP:
                    self._queue.put(_STOP)
                    more = False
                else:
                    items.append(item)
            self.busy = True
            self._all(items)
            self.busy = False

    def _all(self, items: Sequence[Item]) -> None:
        with self._lock:
            self._waiting -= len(items)
        wanted = [item for item in items if item.result.set_running_or_notify_cancel()]
        for batch in batches(wanted, self.batch_tokens):
            self._one(batch)

    def _one(self, batch: Sequence[Item]) -> None:
        begun = time.monotonic()
        try:
            results = self._run(batch)
        except (MemoryError, RuntimeError) as exc:
            if len(batch) > 1 and _out_of_memory(exc):
                self._halve(batch)
            else:
                _fail(batch, exc)
            return
        except Exception as exc:  # noqa: BLE001  whoever waits must learn of it; the thread must live
            _fail(batch, exc)
            return
        self.seconds += time.monotonic() - begun
        self.batches += 1
        self.items += len(batch)
        self.tokens += sum(len(item.tokens) for item in batch)
        for item, result in zip(batch, results, strict=True):
            item.result.set_result(result)

    def _halve(self, batch: Sequence[Item]) -> None:
        """Memory did not suffice: from now on half as much at a time."""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        longest = max(len(item.tokens) for item in batch)
        self.batch_tokens = max(longest, longest * len(batch) // 2)
        half = (len(batch) + 1) // 2
        self._one(batch[:half])
        self._one(batch[half:])


def batches(items: Sequence[Item], most: int) -> Iterator[list[Item]]:
    """Items by falling length, cut where the padded batch would have more than `most` tokens; at least one each."""
    batch: list[Item] = []
    for item in sorted(items, key=lambda item: len(item.tokens), reverse=True):
        if batch and len(batch[0].tokens) * (len(batch) + 1) > most:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _out_of_memory(exc: BaseException) -> bool:
    return isinstance(exc, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(exc)


def _fail(batch: Sequence[Item], exc: BaseException) -> None:
    for item in batch:
        item.result.set_exception(exc)
