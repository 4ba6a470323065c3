"""A picture of lines over time, as SVG."""

from collections.abc import Mapping, Sequence
from math import ceil
from xml.etree.ElementTree import Element, SubElement, indent, tostring

_LEFT, _TOP, _WIDTH, _HEIGHT, _BOTTOM = 60, 64, 720, 260, 40  # pixels
_COLOURS = ("#1f6f8b", "#c8553d", "#5b8c5a", "#8a6fb0", "#b08a3e", "#4a4a4a")
_GRID, _INK = "#e3e8ec", "#1c2b33"


def plot(title: str, lines: Mapping[str, Sequence[tuple[float, float]]], *, across: str, mark: float | None) -> str:
    """Draw a line for each name through its points; `across` says what x is, and `mark` is an x that is marked."""
    width, height = _LEFT + _WIDTH + 20, _TOP + _HEIGHT + _BOTTOM
    svg = Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width} {height}", role="img")
    svg.set("font-family", "sans-serif")
    svg.set("font-size", "12")
    SubElement(svg, "title").text = title
    SubElement(svg, "rect", width=str(width), height=str(height), fill="#ffffff")
    _text(svg, 12, 22, title, size="15")
    points = [point for line in lines.values() for point in line]
    longest = max([x for x, _ in points], default=1) or 1
    highest = ceil(max([y for _, y in points], default=1) / 20) * 20 or 20

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + x / longest * _WIDTH, _TOP + _HEIGHT * (1 - y / highest)

    for number in range(5):
        x, y = longest * number / 4, highest * number / 4
        _line(svg, [place(0, y), place(longest, y)], _GRID)
        _text(svg, _LEFT - 8, place(0, y)[1] + 4, f"{y:.0f}", anchor="end")
        _text(svg, place(x, 0)[0], _TOP + _HEIGHT + 18, f"{x:.0f}", anchor="middle")
    _text(svg, _LEFT + _WIDTH / 2, height - 6, across, anchor="middle")
    if mark is not None:
        _line(svg, [place(mark, 0), place(mark, highest)], _INK, dashes="4 4")
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        _line(svg, [place(*point) for point in line], colour, thickness="1.5")
        left = _LEFT + number % 3 * 240
        top = 38 + number // 3 * 15
        SubElement(svg, "rect", x=str(left), y=str(top - 9), width="10", height="10", fill=colour)
        _text(svg, left + 16, top, name)
    indent(svg, " ")
    return tostring(svg, encoding="unicode") + "\n"


def _line(
    svg: Element, points: Sequence[tuple[float, float]], colour: str, *, thickness: str = "1", dashes: str = "none"
) -> None:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    shown = {"fill": "none", "stroke": colour, "stroke-width": thickness, "stroke-dasharray": dashes}
    SubElement(svg, "polyline", {"points": path, **shown})


def _text(svg: Element, x: float, y: float, text: str, *, anchor: str = "start", size: str = "12") -> None:
    place = {"x": f"{x:g}", "y": f"{y:g}", "text-anchor": anchor, "font-size": size, "fill": _INK}
    SubElement(svg, "text", place).text = text
