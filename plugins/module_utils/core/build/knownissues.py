# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Known breaks between versions of llama.cpp, of CUDA and of the C library, each with a patch or a flag. Pure.

An entry applies inside of its ranges, where the tree also shows its sign; outside it has expired. What was applied is
part of the recipe and stands in the manifest.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Version = tuple[int, ...]
ReadFile = Callable[[str], "str | None"]


@dataclass(frozen=True)
class Sign:
    """What an affected source tree shows: a file that has one text and lacks another."""

    file: str
    has: str
    lacks: str


@dataclass(frozen=True)
class Issue:
    """One line of the table.

    :param reason: what breaks. :param link: where upstream says so. :param expiry: with what it was repaired, in words.
    :param source: upstream's build numbers [first broken, first repaired); None where a number is not known, and then
        the sign alone decides.
    :param toolkit: CUDA versions [first broken, first repaired). :param libc: the oldest glibc that is affected.
    :param patch: a unified diff without context. :param flags: CMake variable -> flags; `{cuda}` is the folder of
        the toolkit's headers.
    """

    id: str
    reason: str
    link: str
    expiry: str
    toolkit: tuple[Version, Version]
    source: tuple[int | None, int | None] = (None, None)
    libc: Version = ()
    sign: Sign | None = None
    patch: str = ""
    flags: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def label(self) -> str:
        """The words for a recipe: the id, and the start of a hash of what is applied."""
        said = repr((self.patch, sorted((key, list(value)) for key, value in self.flags.items())))
        return f"{self.id}@{hashlib.sha256(said.encode()).hexdigest()[:8]}"


_FIRST_CUDA: Version = (0, 0)
TABLE = (
    Issue(
        id="cccl-strided-iterator",
        reason="argsort.cu uses iterators that CCCL has from 3.1 on, and CUDA before 13.1 brings an older one",
        link="https://github.com/ggml-org/llama.cpp/issues/18971",
        expiry="llama.cpp with PR 18964 (2026-01-20), or CUDA 13.1",
        source=(7783, None),  # d1e3556 (PR 18930); the repaired tree is known by its sign
        toolkit=(_FIRST_CUDA, (13, 1)),
        sign=Sign("ggml/src/ggml-cuda/argsort.cu", "cuda::make_strided_iterator", "STRIDED_ITERATOR_AVAILABLE"),
        patch="""\
--- a/ggml/src/ggml-cuda/argsort.cu
+++ b/ggml/src/ggml-cuda/argsort.cu
@@ -4 +4,3 @@
 #    include <cub/cub.cuh>
+#    include <thrust/iterator/counting_iterator.h>
+#    include <thrust/iterator/transform_iterator.h>
@@ -36 +38,2 @@
-    auto offset_iterator = cuda::make_strided_iterator(cuda::make_counting_iterator(0), ncols);
+    const auto row_start = [ncols] __host__ __device__ (int row) { return row * ncols; };
+    auto offset_iterator = thrust::make_transform_iterator(thrust::make_counting_iterator(0), row_start);
""",
    ),
    Issue(
        id="math-headers-glibc-2.41",
        reason="glibc 2.41 declares sinpi and cospi noexcept, and CUDA before 13.0 declares them otherwise",
        link="https://github.com/ggml-org/llama.cpp/blob/master/docs/build.md",
        expiry="CUDA 13.0",
        toolkit=(_FIRST_CUDA, (13, 0)),
        libc=(2, 41),
        flags={"CMAKE_CUDA_FLAGS": ("-isystem={cuda}",)},
    ),
    Issue(
        id="math-headers-glibc-2.42",
        reason="glibc 2.42 declares rsqrt noexcept, and CUDA before 13.2 declares it otherwise",
        link="https://github.com/ggml-org/llama.cpp/issues/19100",
        expiry="CUDA 13.2",
        toolkit=((13, 0), (13, 2)),
        libc=(2, 42),
        flags={"CMAKE_CUDA_FLAGS": ("-isystem={cuda}",)},
    ),
)
"""The flag of the last two makes the headers of CUDA system headers, in which the compiler lets the difference pass."""


@dataclass(frozen=True)
class Verdict:
    """An issue of the table: it applies, or why not."""

    issue: Issue
    applies: bool
    why: str


def judge(
    number: int, cuda: str | None, glibc: str | None, read: ReadFile, table: Sequence[Issue] = TABLE
) -> list[Verdict]:
    """What the table says about a build; nothing for one without CUDA.

    :param number: upstream's build number, 0 where it is not known. :param cuda: version of the toolkit.
    :param glibc: version of the C library, None for another one. :param read: gives a file of the source tree.
    """
    return [_verdict(issue, number, version(cuda), version(glibc or ""), read) for issue in table] if cuda else []


def possible(cuda: str | None, table: Sequence[Issue] = TABLE) -> list[tuple[str, ...]]:
    """All labels that a recipe may have for this version of the toolkit, each as `judge` may give them; () is one."""
    labels = [issue.label() for issue in table if cuda and issue.toolkit[0] <= version(cuda) < issue.toolkit[1]]
    return [some for count in range(len(labels) + 1) for some in itertools.combinations(labels, count)]


def version(text: str) -> Version:
    """`13.0` -> (13, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _verdict(issue: Issue, number: int, cuda: Version, glibc: Version, read: ReadFile) -> Verdict:
    first, fixed = issue.source
    if cuda >= issue.toolkit[1] or (fixed is not None and number >= fixed):
        return Verdict(issue, False, f"expired: repaired with {issue.expiry}")
    if cuda < issue.toolkit[0] or (first is not None and 0 < number < first):
        return Verdict(issue, False, "not affected: older than the break")
    if issue.libc and glibc < issue.libc:
        return Verdict(issue, False, f"not affected: glibc before {'.'.join(map(str, issue.libc))}")
    if issue.sign:
        text = read(issue.sign.file)
        if text is None or issue.sign.has not in text:
            return Verdict(issue, False, "not affected: the source does not show it")
        if issue.sign.lacks in text:
            return Verdict(issue, False, f"expired: repaired with {issue.expiry}")
    return Verdict(issue, True, issue.reason)
