#!/usr/bin/env bash
# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# static.sh - everything that is checked without running llama.cpp, side by side; ends with "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

parent=$PWD/.build
copy=$parent/ansible_collections/llamaops/llama_cpp # ansible-test insists on such a path and refuses links
logs=$parent/log/static
oldest=python3.9 # the oldest Python of a target
names=()
export NO_COLOR=1 PIP_QUIET=1

check() { # NAME COMMAND...
  names+=("$1")
  { SECONDS=0; "${@:2}" >"$logs/$1.log" 2>&1; echo "$? $SECONDS" >"$logs/$1.end"; } &
}

in_copy() { (cd "$copy" && ANSIBLE_COLLECTIONS_PATH=$parent "$@"); }

make_copy() { # fresh, without what git ignores; a repository, for ansible-test asks the next one above for its files
  rm -rf "$copy"
  mkdir -p "$copy"
  git ls-files -co --exclude-standard | tar -cf - --ignore-failed-read -T - 2>/dev/null | tar -xf - -C "$copy"
  git -C "$copy" init -q
  git -C "$copy" add -A
}

shell_scripts() { git ls-files -co --exclude-standard -- '*.sh' .ci/run | xargs shellcheck; }

get_pip() { # ansible-test fetches this from a site that not every network reaches; the package index does
  local cache=$HOME/.ansible/test/cache version
  mkdir -p "$cache"
  for version in 24_2 25_2; do
    [ -e "$cache/get_pip_$version.py" ] || cat >"$cache/get_pip_$version.py" <<'PYTHON'
import subprocess
import sys

requirements = [word for word in sys.argv[1:] if not word.startswith("--")]
subprocess.check_call([sys.executable, "-m", "ensurepip", "--default-pip"], stdout=subprocess.DEVNULL)
subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", *requirements])
PYTHON
  done
}

sanity() { # PYTHON-VERSION [FURTHER ARGUMENTS]
  in_copy ansible-test sanity --local --color no --python "$@" 2>&1 | tee "$logs/sanity-$1.log"
  [ "${PIPESTATUS[0]}" = 0 ] && ! grep -q 'All targets skipped' "$logs/sanity-$1.log"
}

all_sanity() { # with this Python, and what runs on targets with the oldest
  get_pip
  sanity "$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" || return
  if $oldest -c pass 2>/dev/null; then
    sanity "${oldest#python}" --test compile --test import
  fi
}

package() { # builds, holds what users need, and nothing else
  local dist=$parent/dist listing wanted
  rm -rf "$dist"
  in_copy ansible-galaxy collection build --output-path "$dist" || return
  listing=$(tar -tzf "$dist"/llamaops-llama_cpp-*.tar.gz) || return
  echo "$listing"
  for wanted in plugins/modules/llama_build.py roles/llama_runtime/tasks/main.yml panel/llamaops_panel/__init__.py \
    requirements/panel.txt LICENSE README.md CHANGELOG.md; do
    grep -qx "$wanted" <<<"$listing" || { echo "missing: $wanted"; return 1; }
  done
  ! grep -E '^(tests|\.ci|extensions/molecule|Makefile)(/|$)' <<<"$listing"
}

rm -rf "$logs"
mkdir -p "$logs"
make_copy
check "ansible-test sanity" all_sanity
check "ansible-lint production" in_copy ansible-lint --offline
check "ruff check" ruff check .
check "ruff format" ruff format --check .
check "mypy strict on the core" mypy --cache-dir=/dev/null # a stale cache finds faults that are not there
check "mypy strict on the panel" mypy --config-file panel/mypy.ini --cache-dir=/dev/null
check "shellcheck" shell_scripts
check "antsibull-docs" in_copy antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs self .
check "antsibull-changelog" in_copy antsibull-changelog lint
check "galaxy package" package
wait

failed=0
for name in "${names[@]}"; do
  read -r status seconds <"$logs/$name.end"
  [ "$status" = 0 ] && word=ok || word=FAILED
  printf '  %-7s %s (%d s)\n' "$word" "$name" "$seconds"
  if [ "$status" != 0 ]; then
    failed=$((failed + 1))
    sed 's/^/          /' "$logs/$name.log"
  fi
done
$oldest -c pass 2>/dev/null || echo "  not run imports on $oldest, which is not here"
echo "$((${#names[@]} - failed)) passed, $failed failed"
[ $failed = 0 ]
