# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan as a picture: bars for a terminal, and the same as SVG; both from the document that `answer` gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from .table import COMPONENTS, HOST_COMPONENTS

_GIB = 1 << 30
_WIDTH = 48  # characters of a bar
_BAR, _ROW, _LEFT = 640, 46, 10  # of the drawing
# One letter and one colour a component; the palette is told apart by people who see few colours (Okabe and Ito).
_LETTERS = dict(zip(COMPONENTS, "WKRCPDXSH"))
COLOURS = dict(
    zip(
        COMPONENTS,
        ("#0072b2", "#e69f00", "#f0e442", "#009e73", "#cc79a7", "#d55e00", "#999999", "#56b4e9", "#dddddd"),
    )
)


def text(answer: Mapping[str, Any]) -> list[str]:
    """Lines for a terminal: a bar for every device, what each part of it is, the host, the flags, the reasons."""
    plan = answer["plan"]
    fits = "fits" if answer["fits"] else "DOES NOT FIT"
    lines = [f"{answer['architecture']}: {fits} ({plan['rung']}, confidence {answer['confidence']})"]
    for device in plan["devices"]:
        lines += ["", *_device(device)]
    host = plan["host"]
    lines += ["", f"host: {_size(host['resident'])} resident, {_size(host['sum'])} with what the page cache may drop"]
    lines += [f"  {_part(name, cell)}" for name, cell in _cells(host, HOST_COMPONENTS)]
    flags = ", ".join(
        f"{key} {_value(value)}" for key, value in plan["options"].items() if value is False or value not in ([], 0)
    )
    lines += ["", f"options: {flags}", *(f"- {reason}" for reason in plan["reasons"])]
    return [*lines, f"- {answer['next_gib_buys']}"] if answer["next_gib_buys"] else lines


def _device(device: Mapping[str, Any]) -> Iterator[str]:
    name = f" {device['name']}" if device["name"] else ""
    left = f"{_size(device['left'])} left" if device["left"] >= 0 else f"{_size(-device['left'])} MISSING"
    yield f"{device['id']}{name} ({device['backend']}): {_size(device['sum'])} of {_size(_room(device))}, {left}"
    bars = "".join(_LETTERS[name] * round(_WIDTH * cell["bytes"] / _scale(device)) for name, cell in _parts(device))
    yield f"  [{bars.ljust(_WIDTH, '.')}]"
    for part, cell in _parts(device):
        yield f"  {_LETTERS[part]} {_part(part, cell)}"


def _part(name: str, cell: Mapping[str, Any]) -> str:
    return f"{name:<16}{_size(cell['bytes']):>11}  {cell['kind']:<8}{cell['why']}"


def _cells(holder: Mapping[str, Any], order: tuple[str, ...]) -> list[tuple[str, Mapping[str, Any]]]:
    found = holder["components"]
    return [(name, found[name]) for name in order if name in found]


def _parts(device: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return _cells(device, COMPONENTS)


def _room(device: Mapping[str, Any]) -> int:
    total, free = int(device["total"]), int(device["free"])
    return min(total, free)


def _scale(device: Mapping[str, Any]) -> int:
    """Bytes that the whole bar stands for."""
    return max(_room(device), int(device["sum"]), 1)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _size(count: float) -> str:
    return f"{count / _GIB:.2f} GiB"


def svg(answer: Mapping[str, Any]) -> str:
    """The devices as bars in SVG. What strangers wrote (names of devices) is escaped."""
    devices = answer["plan"]["devices"]
    largest = max((_scale(device) for device in devices), default=1)
    foot = 22 + len(devices) * _ROW
    shapes = [part for number, device in enumerate(devices) for part in _bar(device, 22 + number * _ROW, largest)]
    for number, name in enumerate(COMPONENTS):
        x, y = _LEFT + number % 5 * 128, foot + number // 5 * 18
        shapes.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{COLOURS[name]}"/>')
        shapes.append(f'<text x="{x + 14}" y="{y}">{name}</text>')
    width, height = _BAR + 2 * _LEFT, foot + 30
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'font-family="sans-serif" font-size="11"><title>Memory of every device</title>'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{"".join(shapes)}</svg>\n'
    )


def _bar(device: Mapping[str, Any], top: int, largest: int) -> Iterator[str]:
    """One device: its name and how much is left or missing, a frame for its room, and a box for every part."""
    short = device["left"] < 0
    left = f"{_size(-device['left'])} missing" if short else f"{_size(device['left'])} left"
    yield f'<text x="{_LEFT}" y="{top}">{escape(_title(device))}</text>'
    colour = "#c00" if short else "#000"
    yield f'<text x="{_LEFT + _BAR}" y="{top}" text-anchor="end" fill="{colour}">{left}</text>'
    at = float(_LEFT)
    for name, cell in _parts(device):
        part = _BAR * cell["bytes"] / largest
        tip = escape(f"{name}: {_size(cell['bytes'])} ({cell['kind']}) {cell['why']}")
        yield (
            f'<rect x="{at:.1f}" y="{top + 5}" width="{part:.1f}" height="18" fill="{COLOURS[name]}">'
            f"<title>{tip}</title></rect>"
        )
        if part >= 60:
            ink = "#fff" if name in ("weights", "compute", "draft") else "#000"
            yield f'<text x="{at + 4:.1f}" y="{top + 18}" fill="{ink}">{_size(cell["bytes"])}</text>'
        at += part
    room = _BAR * _room(device) / largest
    yield f'<rect x="{_LEFT}" y="{top + 5}" width="{room:.1f}" height="18" fill="none" stroke="{colour}"/>'


def _title(device: Mapping[str, Any]) -> str:
    return f"{device['id']} {device['name']}: {_size(device['sum'])} of {_size(_room(device))}".replace(" :", ":")
