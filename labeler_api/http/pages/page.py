"""A page that is one file: its style and its script stand inside, and nothing else may run."""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template

_INSIDE = {kind: re.compile(rf"<{kind}>(.*?)</{kind}>", re.DOTALL) for kind in ("style", "script")}
# `form-action`: without its script a form would put a password into the address.
_ALWAYS = ("default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'")
_STYLE = Path(__file__).with_name("page.css")


@dataclass(frozen=True, slots=True)
class Page:
    """What a browser is sent, and the headers that go with it."""

    body: bytes
    headers: dict[str, str]


def page(file: str, values: dict[str, str], *allowed: str) -> Page:
    """Fill a page's `${names}`, as text and never as markup. `allowed` are policies beside that of its own insides."""
    text = Template(Path(__file__).with_name(file).read_text()).substitute(
        {name: escape(value) for name, value in values.items()}, style=f"<style>{_STYLE.read_text()}</style>"
    )
    inside = [f"{kind}-src {_hashes(found)}" for kind, form in _INSIDE.items() if (found := form.findall(text))]
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join([*_ALWAYS, *inside, *allowed]),
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "Vary": "Accept, Accept-Encoding",
    }
    return Page(text.encode(), headers)


def _hashes(blocks: Sequence[str]) -> str:
    """Name blocks by what is in them, as a policy does: a block that somebody puts in between has another name."""
    return " ".join(f"'sha256-{b64encode(sha256(block.encode()).digest()).decode()}'" for block in blocks)


def prefers_html(accept: str) -> bool:
    """Whether a request wants a page more than JSON. Browsers name `text/html`; programs do not, or name JSON first."""
    weights = dict(_weight(part) for part in accept.lower().split(",") if part.strip())
    html = weights.get("text/html", 0.0)
    return html > 0 and html >= weights.get("application/json", 0.0)


def _weight(part: str) -> tuple[str, float]:
    kind, *parameters = (piece.strip() for piece in part.split(";"))
    found = next((value for value in parameters if value.startswith("q=")), "q=1")
    try:
        return kind, float(found.removeprefix("q="))
    except ValueError:
        return kind, 0.0
