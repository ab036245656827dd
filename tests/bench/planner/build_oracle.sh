#!/bin/sh
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# build_oracle.sh SOURCE BUILD OUTPUT: compile oracle.cpp against a llama.cpp build (GGML_RPC=ON) of the tree SOURCE.
# Of a build with backends as libraries OUTPUT must lie in BUILD/bin, where they are looked for.
set -eu
source=$1 build=$2 output=$3
here=$(dirname "$0")
if [ -e "$build/src/libllama.a" ]; then
    set -- "$build/src/libllama.a" "$build/ggml/src/libggml.a" "$build/ggml/src/ggml-rpc/libggml-rpc.a" \
        "$build/ggml/src/libggml-cpu.a" "$build/ggml/src/libggml-base.a" -fopenmp
else
    set -- -L "$build/bin" -lllama -lggml -lggml-base "-Wl,-rpath,$build/bin"
fi
exec "${CXX:-c++}" -std=c++17 -O1 -o "$output" "$here/oracle.cpp" \
    -I "$source/include" -I "$source/src" -I "$source/ggml/include" -I "$source/vendor" "$@" -lpthread -ldl -lm
