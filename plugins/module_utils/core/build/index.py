# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding a file on a Python package index: the Simple API in JSON (PEP 691) or HTML (PEP 503).

Only the address of the file is taken from the index; what the file must be is known beforehand, by its hash.
"""

from __future__ import annotations

import base64
import configparser
import html.parser
import json
import os
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Any

from ..errors import InvalidInput, Unreachable

PUBLIC = "https://pypi.org/simple"
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_LARGEST_PAGE = 64 << 20
_TIMEOUT = 60.0  # seconds without a byte


def configured(environ: Mapping[str, str], home: str, root: str = "/") -> list[str]:
    """The indexes pip would use: PIP_INDEX_URL, else its configuration files, else the public one; then extra ones."""
    settings = {name: value for file in _config_files(environ, home, root) for name, value in _settings(file)}
    main = environ.get("PIP_INDEX_URL") or settings.get("index-url") or PUBLIC
    more = environ.get("PIP_EXTRA_INDEX_URL") or settings.get("extra-index-url") or ""
    return [main.strip(), *more.split()]


def _config_files(environ: Mapping[str, str], home: str, root: str) -> list[str]:
    """Later files win (pip's documentation, "Configuration")."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    folder = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    files = [os.path.join(root, name) for name in ("etc/xdg/pip/pip.conf", "etc/pip.conf")]
    return [*files, f"{home}/.pip/pip.conf", f"{folder}/pip/pip.conf", *([named] if named else [])]


def _settings(path: str) -> Iterator[tuple[str, str]]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return
    for section in ("global", "download"):
        if parser.has_section(section):
            yield from parser.items(section)


def find_file(indexes: list[str], project: str, version: str) -> str:
    """The address of the source distribution of a version; the first index that has it wins.

    :raises InvalidInput: no index has this version; lists the nearest ones there are.
    :raises Unreachable: an index cannot be read and no other has the file.
    """
    seen: set[str] = set()
    failures: list[str] = []
    for index in indexes:
        try:
            files = _files(index, project)
        except Unreachable as exc:
            failures.append(exc.problem)
            continue
        for name, url in files:
            found = _sdist_version(name, project)
            if found == version:
                return url
            seen.update([found] if found else [])
    if failures:
        raise Unreachable(
            " ".join(failures),
            "Name an index that this host reaches in source.url or PIP_INDEX_URL, or use source.path.",
        )
    raise InvalidInput(f"No index has a source distribution of {project} {version}.", _hint(seen))


def _hint(versions: set[str]) -> str:
    def order(version: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", version)]

    return f"The newest there are: {', '.join(sorted(versions, key=order)[-5:])}." if versions else ""


def _sdist_version(name: str, project: str) -> str | None:
    """The version in the name of a source distribution of the project; None for any other file."""
    pattern = re.escape(project).replace(r"\-", "[-_.]+")
    found = re.fullmatch(rf"{pattern}-([0-9][\w.!+]*)\.tar\.gz", name, re.IGNORECASE | re.ASCII)
    return found.group(1) if found else None


def _files(index: str, project: str) -> list[tuple[str, str]]:
    """(name, address) of all files of a project."""
    page = f"{index.rstrip('/')}/{project}/"
    if page.startswith("file:"):
        page += "index.html"
    base, kind, text = _read(page)
    try:
        links = _from_json(json.loads(text)) if kind.endswith("json") else _from_html(text.decode("utf-8", "replace"))
        return [(name, urllib.parse.urljoin(base, url)) for name, url in links]
    except (ValueError, KeyError, TypeError) as exc:
        raise Unreachable(f"{shown(page)} is no page of a package index.") from exc


def _from_json(page: Any) -> list[tuple[str, str]]:
    return [(str(file["filename"]), str(file["url"])) for file in page["files"]]


def _from_html(text: str) -> list[tuple[str, str]]:
    parser = _Links()
    parser.feed(text)
    names = [urllib.parse.unquote(urllib.parse.urlsplit(url).path).rpartition("/")[2] for url in parser.links]
    return list(zip(names, parser.links))


class _Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _read(url: str) -> tuple[str, str, bytes]:
    """(address after redirects, content type, content) of a page.

    :raises InvalidInput: the address is not https, http or file.
    :raises Unreachable: it cannot be read; names the address without its password.
    """
    plain, headers = authorise(url)
    request = urllib.request.Request(plain, headers={"Accept": _ACCEPT, "User-Agent": "llamaops"})
    for name, value in headers.items():
        request.add_unredirected_header(name, value)
    try:
        with urllib.request.build_opener().open(request, timeout=_TIMEOUT) as answer:
            return answer.geturl(), answer.headers.get_content_type(), answer.read(_LARGEST_PAGE)
    except (OSError, HTTPException, ValueError) as exc:
        raise Unreachable(f"{shown(url)} cannot be read: {getattr(exc, 'reason', None) or exc}.") from exc


def authorise(url: str) -> tuple[str, dict[str, str]]:
    """An address without user and password, and the headers that say them instead.

    :raises InvalidInput: it is not https, http or file, or has control characters.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("https", "http", "file") or not url.isprintable() or " " in url:
        raise InvalidInput(f"{shown(url)!r} cannot be fetched.", "Give an address with https, http or file.")
    plain = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    if parts.username is None:
        return plain, {}
    user = urllib.parse.unquote(f"{parts.username}:{parts.password or ''}")
    return plain, {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()}


def shown(url: str) -> str:
    """An address as messages may name it: without user, password, query and fragment."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
