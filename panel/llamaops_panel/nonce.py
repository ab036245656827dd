# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nonce in NiceGUI's page, which names the scripts that are NiceGUI's own to the browser.

It goes into the template, not into what was rendered: a script that a text brought in must not get it.
"""

from __future__ import annotations

import jinja2
from nicegui import client

PAGE = "index.html"


def put_into_pages() -> None:
    environment = client.templates.env
    loader = environment.loader
    if loader is None or isinstance(loader, jinja2.ChoiceLoader):
        return
    source, _name, _fresh = loader.get_source(environment, PAGE)
    marked = source.replace("<script", '<script nonce="{{ request.state.nonce }}"')
    environment.loader = jinja2.ChoiceLoader([jinja2.DictLoader({PAGE: marked}), loader])
