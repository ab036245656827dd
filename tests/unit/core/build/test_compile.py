# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import compile
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput

NINJA = """\
[1/3] Building C object a.c.o
[2/3] Building CXX object tools/server/server.cpp.o
FAILED: tools/server/server.cpp.o
/usr/bin/c++ -O3 -o tools/server/server.cpp.o -c tools/server/server.cpp
In file included from tools/server/server.h:1:
tools/server/server.cpp:10:3: error: 'foo' was not declared in this scope
   10 |   foo();
      |   ^~~
[3/3] Building CXX object b.cpp.o
/b.cpp:1:1: error: later
ninja: build stopped: subcommand failed.
"""
CMAKE = """\
-- Detecting CXX compiler
CMake Error at CMakeLists.txt:3 (project):
  No CMAKE_CXX_COMPILER could be found.

  Tell CMake where to find the compiler.


-- Configuring incomplete, errors occurred!
"""
MEMORY = """\
[9/9] Building CXX object x.o
FAILED: x.o
c++ -c x.cpp
c++: fatal error: Killed signal terminated program cc1plus
compilation terminated.
"""
LINKER = """\
/usr/bin/ld: a.o: in function `main': a.c:(.text+0x5): undefined reference to `foo'
collect2: error: ld returned 1 exit status
"""


@pytest.mark.parametrize(
    ("log", "first", "absent"),
    [
        (NINJA, "tools/server/server.cpp:10:3: error: 'foo' was not declared", "later"),
        (CMAKE, "CMake Error at CMakeLists.txt:3 (project):\n  No CMAKE_CXX_COMPILER", "Detecting"),
        (MEMORY, "c++: fatal error: Killed signal", "c++ -c"),
        (LINKER, "/usr/bin/ld: a.o: in function `main'", "[1/1]"),
        ("cc1plus: No space left on device\n", "cc1plus: No space left", "x"),
        ("strange\n\nend\n", "strange\nend", "error"),
        ("", "", "x"),
    ],
)
def test_the_first_real_error(log, first, absent):
    found = compile.first_errors(log)
    assert found.startswith(first)
    assert absent not in found
    assert len(found.splitlines()) <= 8


@pytest.mark.parametrize(
    ("listing", "targets"),
    [
        (
            "[1/1] All primary targets available:\nall: phony\nllama-server: phony\nggml-rpc-server: phony\n"
            "llama-bench: phony\nllama-quantize: phony\nllama-cli: phony\nbin/llama-server: CXX_EXECUTABLE_LINKER__x\n",
            ["llama-server", "llama-bench", "ggml-rpc-server", "llama-quantize"],
        ),
        ("llama-server: phony\nrpc-server: phony\n", ["llama-server", "rpc-server"]),
        ("server: phony\nllama-bench: phony\n", None),
    ],
)
def test_only_the_tools_that_a_tree_has(listing, targets):
    if targets is None:
        with pytest.raises(InvalidInput, match="no llama-server"):
            compile._targets(listing)
        return
    assert compile._targets(listing) == targets
