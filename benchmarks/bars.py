"""A picture of bars, as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from xml.etree.ElementTree import Element, SubElement, indent, tostring

_NAME, _CHART, _ROW, _TOP = 250, 520, 22, 64  # pixels
_WIDTH = _NAME + _CHART + 40
_NOW, _BEFORE, _LINE, _INK = "#1f6f8b", "#c9d6df", "#e3e8ec", "#1c2b33"


@dataclass(frozen=True)
class Bar:
    """A name, what it has now, and what it had before where that is known."""

    name: str
    now: float
    before: float | None = None


def chart(title: str, bars: Sequence[Bar], *, now: str, before: str | None) -> str:
    """Draw a bar for each name: what was before stands behind what is now."""
    most = ceil(max([1.0, *(max(bar.now, bar.before or 0) for bar in bars)]))
    height = _TOP + _ROW * len(bars) + 30
    svg = Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_WIDTH} {height}", role="img")
    svg.set("font-family", "sans-serif")
    svg.set("font-size", "12")
    SubElement(svg, "title").text = title
    _rectangle(svg, 0, 0, _WIDTH, height, "#ffffff")
    _text(svg, 12, 22, title, size="15")
    _rectangle(svg, 12, 34, 12, 12, _NOW)
    _text(svg, 30, 44, now)
    if before is not None:
        _rectangle(svg, 180, 34, 12, 12, _BEFORE)
        _text(svg, 198, 44, before)
    _scale(svg, most, height)
    for number, bar in enumerate(bars):
        top = _TOP + number * _ROW
        _text(svg, _NAME - 8, top + 14, bar.name, anchor="end")
        if bar.before:
            _rectangle(svg, _NAME, top + 2, bar.before / most * _CHART, _ROW - 4, _BEFORE)
        _rectangle(svg, _NAME, top + 6, bar.now / most * _CHART, _ROW - 12, _NOW)
    indent(svg, " ")
    return tostring(svg, encoding="unicode") + "\n"


def _scale(svg: Element, most: int, height: int) -> None:
    step = next(step * 10**power for power in range(9) for step in (1, 2, 5) if step * 10**power * 12 >= most)
    for value in range(0, most + 1, step):
        x = _NAME + value / most * _CHART
        _rectangle(svg, x, _TOP - 4, 1, height - _TOP - 18, _LINE)
        _text(svg, x, height - 8, str(value), anchor="middle")


def _rectangle(svg: Element, x: float, y: float, width: float, height: float, colour: str) -> None:
    places = {"x": x, "y": y, "width": width, "height": height}
    SubElement(svg, "rect", {name: f"{value:g}" for name, value in places.items()}, fill=colour)


def _text(svg: Element, x: float, y: float, text: str, *, anchor: str = "start", size: str = "12") -> None:
    place = {"x": f"{x:g}", "y": f"{y:g}", "text-anchor": anchor, "font-size": size, "fill": _INK}
    SubElement(svg, "text", place).text = text
