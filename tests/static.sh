#!/usr/bin/env bash
# static.sh - everything that is checked without running llama.cpp; ends with "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

parent=$PWD/.build
copy=$parent/ansible_collections/llamaops/llama_cpp # ansible-test insists on such a path and refuses links
oldest=python3.9                                    # the oldest Python of a target
export NO_COLOR=1 PIP_QUIET=1
log=$parent/log/check.log
failed=() passed=0

check() { # NAME COMMAND...: show the output only of what failed
  local name=$1 start=$SECONDS
  shift
  if "$@" >"$log" 2>&1; then
    passed=$((passed + 1))
    printf '  ok      %s (%d s)\n' "$name" $((SECONDS - start))
  else
    failed+=("$name")
    printf '  FAILED  %s (%d s)\n' "$name" $((SECONDS - start))
    sed 's/^/          /' "$log"
  fi
}

in_copy() { (cd "$copy" && ANSIBLE_COLLECTIONS_PATH=$parent "$@"); }

shell_scripts() { git ls-files -co --exclude-standard -- '*.sh' .ci/run | xargs shellcheck; }

make_copy() { # fresh, without what git ignores; a repository, for ansible-test asks the next one above for its files
  rm -rf "$copy"
  mkdir -p "$copy"
  git ls-files -co --exclude-standard | tar -cf - --ignore-failed-read -T - 2>/dev/null | tar -xf - -C "$copy"
  git -C "$copy" init -q
  git -C "$copy" add -A
}

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
  get_pip
  in_copy ansible-test sanity --local --color no --python "$@" 2>&1 | tee "$log.sanity"
  [ "${PIPESTATUS[0]}" = 0 ] && ! grep -q 'All targets skipped' "$log.sanity"
}

package() { # builds, holds what users need, and nothing else
  local dist=$parent/dist listing
  rm -rf "$dist"
  in_copy ansible-galaxy collection build --output-path "$dist" || return
  listing=$(tar -tzf "$dist"/llamaops-llama_cpp-*.tar.gz) || return
  echo "$listing"
  for wanted in plugins/modules/llama_build.py roles/llama_runtime/tasks/main.yml LICENSE README.md CHANGELOG.md; do
    grep -qx "$wanted" <<<"$listing" || { echo "missing: $wanted"; return 1; }
  done
  ! grep -E '^(tests|\.ci|extensions/molecule|Makefile)(/|$)' <<<"$listing"
}

mkdir -p "$parent/log"
check "ruff check" ruff check .
check "ruff format" ruff format --check .
check "mypy strict on the core" mypy
check "shellcheck" shell_scripts
make_copy
check "ansible-lint, production" in_copy ansible-lint --offline
check "antsibull-docs" in_copy antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs self .
check "antsibull-changelog" in_copy antsibull-changelog lint
check "galaxy package" package
check "ansible-test sanity" sanity "$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
if $oldest -c pass 2>/dev/null; then
  check "imports on $oldest" sanity "${oldest#python}" --test compile --test import
else
  echo "  not run: imports on $oldest, which is not here"
fi

echo "$passed passed, ${#failed[@]} failed"
[ ${#failed[@]} = 0 ]
