# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page to log in: plain HTML, for nothing else is served to somebody who has not."""

from __future__ import annotations

from html import escape

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in - llama.cpp panel</title>
<link rel="stylesheet" href="/static/login.css">
</head>
<body>
<form method="post" action="/login">
<h1>llama.cpp panel</h1>
{message}
<input type="hidden" name="next" value="{next}">
<label>Name <input name="name" value="{name}" maxlength="40" autocomplete="username" autocapitalize="none"
required autofocus></label>
<label>Password <input name="password" type="password" maxlength="128" autocomplete="current-password" required></label>
<button>Log in</button>
</form>
</body>
</html>
"""


def render(*, next: str, name: str = "", message: str = "") -> str:
    said = f'<p role="alert">{escape(message)}</p>' if message else ""
    return PAGE.format(message=said, next=escape(next), name=escape(name))
