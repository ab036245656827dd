# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""llama.cpp from a git repository: references, and the checkout of one commit.

Nothing of the repository is executed: no hooks, no filters, no submodules. Only https, ssh and file are spoken, and
every object is checked on arrival. The configuration of the user and the system does not count.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .. import account
from ..command import Account, Result, run, tail
from ..errors import CommandFailed, InvalidInput
from ..names import nearest
from .source import Exact, git_record

URL = "https://github.com/ggml-org/llama.cpp"
CHANNELS = {"latest": ("v", "b"), "stable": ("v", "b"), "nightly": ("b",)}
"""Channel -> the kinds of release tags it means, the newest of the first kind there is."""

_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+@#=-]{0,199}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{7,40}", re.ASCII)
_RELEASE = {"v": re.compile(r"v(\d+)\.(\d+)\.(\d+)", re.ASCII), "b": re.compile(r"b(\d+)", re.ASCII)}
_SCP = re.compile(r"\w[\w.-]*@\w[\w.-]*:[\w~][^\s:]*", re.ASCII)
_ENVIRONMENT = ("SSH_AUTH_SOCK", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH")
_ALL = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
_CONFIG = """\
[core]
    hooksPath = /dev/null
[transfer]
    fsckObjects = true
[http]
    lowSpeedLimit = 1000
    lowSpeedTime = 60
[gc]
    autoDetach = false
[maintenance]
    autoDetach = false
[advice]
    detachedHead = false
"""
# a repository on this host belongs to whom it likes, and gives what it is asked for
_LOCAL = """\
[safe]
    directory = *
[uploadpack]
    allowFilter = true
    allowAnySHA1InWant = true
"""


def check_url(url: str) -> str:
    """Return the address of a repository; an absolute path becomes `file://`.

    :raises InvalidInput: not https, ssh or file, a password in it, or characters that git could misread.
    """
    address = f"file://{url}" if url.startswith("/") else url
    if address.isprintable() and " " not in address and (_SCP.fullmatch(address) or _is_plain(address)):
        return address
    raise InvalidInput(
        "source.url is no address of a git repository that may be used.",
        "Use https://, ssh:// or file:// (or user@host:path), without a password in it.",
    )


def _is_plain(address: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError:
        return False
    if parts.scheme not in ("https", "ssh", "file") or parts.password is not None or not parts.path.startswith("/"):
        return False
    if parts.scheme == "file":
        return not parts.netloc
    named = parts.scheme == "https" and parts.username is not None
    return not named and bool(parts.hostname) and not parts.netloc.startswith("-")


def is_hex(ref: str) -> bool:
    """True if a reference could be a commit, short or full."""
    return bool(_HEX.fullmatch(ref))


def check_ref(ref: str) -> str:
    """Return a reference given by a user, before any command sees it.

    :raises InvalidInput: it is no possible name (git-check-ref-format(1), and stricter).
    """
    bad = (".." in ref, "//" in ref, "/." in ref, "@{" in ref, ref.endswith(("/", ".", ".lock")))
    if not _REF.fullmatch(ref) or any(bad):
        raise InvalidInput(f"{ref!r} cannot be a git reference.", "Name a tag, a branch, a commit, latest or nightly.")
    return ref


def parse_refs(text: str) -> dict[str, str]:
    """Full name -> commit, from the output of `git ls-remote`; annotated tags are followed to their commit."""
    refs: dict[str, str] = {}
    for line in text.splitlines():
        commit, _tab, name = line.partition("\t")
        if re.fullmatch(r"[0-9a-f]{40}", commit):
            refs[name] = commit
    return {name: refs.get(f"{name}^{{}}", commit) for name, commit in refs.items() if not name.endswith("^{}")}


def choose(ref: str, refs: Mapping[str, str]) -> tuple[str, str] | None:
    """(kind, commit) of a reference; None for a short commit that only the history can tell.

    :raises InvalidInput: no such reference (lists those that look like it), or a name with two meanings.
    """
    if ref in CHANNELS:
        return "channel", refs[f"refs/tags/{newest(ref, refs)}"]
    names = [name for name in (ref, f"refs/tags/{ref}", f"refs/heads/{ref}") if name in refs]
    if len({refs[name] for name in names}) > 1:
        raise InvalidInput(f"{ref!r} is a tag and a branch.", f"Say which: {' or '.join(names)}.")
    if names:
        kinds = {"refs/tags/": "tag", "refs/heads/": "branch"}
        kind = next((kind for start, kind in kinds.items() if names[0].startswith(start)), "branch")
        return kind, refs[names[0]]
    if not _HEX.fullmatch(ref):
        raise unknown(ref, refs)
    tips = {commit for commit in refs.values() if commit.startswith(ref)}
    return ("commit", tips.pop()) if len(tips) == 1 else None


def newest(channel: str, refs: Mapping[str, str]) -> str:
    """The newest release tag of a channel.

    :raises InvalidInput: the repository has no release tag.
    """
    for kind in CHANNELS[channel]:
        found = [match for name in refs if (match := _RELEASE[kind].fullmatch(name.replace("refs/tags/", "", 1)))]
        if found:
            return max(found, key=lambda match: [int(number) for number in match.groups()]).group()
    raise InvalidInput(f"The repository has no release tag, so {channel!r} means nothing there.", "Name a branch.")


def unknown(ref: str, refs: Mapping[str, str]) -> InvalidInput:
    """The error for a reference that is not there."""
    known = {name.partition("/")[2].partition("/")[2] for name in refs if name.count("/") > 1}
    similar = sorted(name for name in known if name.startswith(ref))[-3:] + nearest(ref, known)
    listed = list(dict.fromkeys(similar))[:5]
    hint = f"References that look like it: {', '.join(listed)}." if listed else "Nothing there looks like it."
    return InvalidInput(f"The repository has no tag, branch or commit {ref!r}.", hint, similar=listed)


@dataclass(frozen=True)
class Git:
    """Runs git as `account` with an environment of its own."""

    program: str
    url: str
    env: Mapping[str, str]
    account: Account | None

    def __call__(self, *arguments: str, check: bool = True, timeout: float | None = None) -> Result:
        argv = [self.program, *arguments]
        result = run(argv, cwd="/", env=self.env, account=self.account, check=False, timeout=timeout)
        if check and result.rc:
            raise self.failure(result)
        return result

    def failure(self, result: Result) -> CommandFailed:
        """The error for a command that failed, in git's own words."""
        lines = [
            line for line in result.stderr.splitlines() if line.startswith(("fatal:", "error:", "remote:", "ssh:"))
        ]
        return CommandFailed(
            f"The repository {self.url} cannot be used: {'; '.join(lines[:4]) or tail(result.stderr, 3)}.",
            "Check source.url and the network; where only a package index is reachable, use source.type: sdist.",
        )


@contextlib.contextmanager
def session(program: str, path: str, url: str, account: Account | None) -> Iterator[Git]:
    """Git, ready to use for one repository; `path` is the PATH it runs with."""
    kept = {
        name: value for name, value in os.environ.items() if name in _ENVIRONMENT or name.lower().endswith("_proxy")
    }
    kept.setdefault("GIT_SSL_CAINFO", os.environ.get("SSL_CERT_FILE", ""))
    with tempfile.NamedTemporaryFile("w", prefix="llamaops-git-") as config:
        config.write(_CONFIG + (_LOCAL if url.startswith("file://") else ""))
        config.flush()
        os.fchmod(config.fileno(), 0o644)
        env = {
            **{name: value for name, value in kept.items() if value},
            "PATH": path,
            "HOME": account.home if account else os.path.expanduser("~"),
            "LANG": "C.UTF-8",
            "GIT_ALLOW_PROTOCOL": "https:ssh:file",
            "GIT_CONFIG_GLOBAL": config.name,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=30",
            "GIT_TERMINAL_PROMPT": "0",
        }
        yield Git(program, url, env, account)


def resolve(git: Git, ref: str) -> Exact | None:
    """Ask the repository what a reference means; None for a short commit that only the history can tell.

    :raises InvalidInput: as `choose`. :raises CommandFailed: the repository does not answer.
    """
    special = ref.startswith("refs/") and not ref.startswith(("refs/heads/", "refs/tags/"))
    asked = ["--", git.url, ref] if special else ["--heads", "--tags", "--", git.url]
    refs = parse_refs(git("ls-remote", "--quiet", *asked, timeout=300).stdout)
    found = choose(ref, refs)
    if found is None:
        return None
    kind, commit = found
    tags = {"channel": lambda: newest(ref, refs), "tag": lambda: ref.replace("refs/tags/", "", 1)}
    tag = tags[kind]() if kind in tags else None
    version = tag[1:] if tag and _RELEASE["v"].fullmatch(tag) else None
    return Exact(commit, kind, version, git_record(git.url, ref, kind, tag))


def bring(git: Git, cache: str, commit: str) -> None:
    """Make sure that a bare cache has a commit with its history; file contents come when they are checked out.

    :raises InvalidInput: the repository has no such commit.
    :raises CommandFailed: the repository does not answer, or sends damaged objects.
    """
    _prepare(git, cache)
    mark = f"refs/builds/{commit}"  # stands only for what came completely
    if git(f"--git-dir={cache}", "show-ref", "--verify", "--quiet", mark, check=False).rc == 0:
        return
    got = _fetch(git, cache, f"+{commit}:{mark}", check=False)
    if got.rc == 0:
        return
    if "unadvertised" in got.stderr:  # an old server gives only what it lists
        _fetch(git, cache, *_ALL)
        if git(f"--git-dir={cache}", "update-ref", mark, commit, check=False).rc == 0:
            return
    elif "not our ref" not in got.stderr:
        raise git.failure(got)
    raise InvalidInput(f"The repository {git.url} has no commit {commit}.")


def search(git: Git, cache: str, short: str) -> str:
    """The commit that a short one means, by the history of all tags and branches.

    :raises InvalidInput: none, or several.
    """
    _prepare(git, cache)
    _fetch(git, cache, *_ALL)
    found = git(f"--git-dir={cache}", "rev-parse", "--verify", f"{short}^{{commit}}", check=False)
    if found.rc == 0:
        return found.stdout.strip()
    if "ambiguous" in found.stderr:
        raise InvalidInput(f"The short commit {short!r} has several meanings: {tail(found.stderr, 6)}")
    refs = git(f"--git-dir={cache}", "for-each-ref", "--format=%(objectname)%09%(refname)", "refs/tags", "refs/heads")
    raise unknown(short, parse_refs(refs.stdout))


def check_out(git: Git, cache: str, commit: str, folder: str) -> int:
    """Make an existing folder hold exactly the files of a commit; returns the number of commits up to it."""
    account.call(git.account, lambda: _remove_locks(cache))
    at = (f"--git-dir={cache}", f"--work-tree={folder}")
    git(*at, "checkout", "--quiet", "--force", "--detach", commit)
    git(*at, "clean", "-ffdxq")
    return int(git(f"--git-dir={cache}", "rev-list", "--count", commit).stdout)


def _remove_locks(cache: str) -> None:
    """Those of a killed run; the caller holds the lock of the root."""
    for lock in glob.glob(os.path.join(glob.escape(cache), "*.lock")):
        os.unlink(lock)


def _prepare(git: Git, cache: str) -> None:
    """A bare repository with the right origin; one with another origin makes way for it."""
    known = git(f"--git-dir={cache}", "config", "--get", "remote.origin.url", check=False).stdout.strip()
    if known == git.url:
        return
    shutil.rmtree(cache, ignore_errors=True)
    git("init", "--quiet", "--bare", "--template=", cache)
    git(f"--git-dir={cache}", "config", "remote.origin.url", git.url)


def _fetch(git: Git, cache: str, *refspecs: str, check: bool = True) -> Result:
    options = ("--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--filter=blob:none")
    return git(f"--git-dir={cache}", "fetch", *options, "origin", *refspecs, check=check)
