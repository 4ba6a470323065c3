"""The pages of the API itself in Chromium: what runs here, and the contact sheet of the demo, in light and in dark.

SCREENSHOTS=<directory> keeps a picture of each.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from labeler_ops.stack.demo.labels import ANNOTATIONS

ROOT = Path(__file__).parents[2]
SCHEMES = ("light", "dark")
MIN_CONTRAST = 4.5  # WCAG 2, AA, for text of this size
# The contrast of the body's text on its ground, by the formula of WCAG 2.
CONTRAST = """() => {
  const style = getComputedStyle(document.body);
  const light = (color) => {
    const [r, g, b] = color.match(/[0-9.]+/g).map(Number).map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [one, other] = [light(style.color), light(style.backgroundColor)];
  return { contrast: (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05), ground: other };
}"""
# Of each figure: its name, and the shapes that are drawn over it, as parts of the picture.
DRAWN = """() => [...document.querySelectorAll("figure")].map((figure) => {
  const picture = figure.querySelector("img").getBoundingClientRect();
  const shapes = [...figure.querySelectorAll(".picture svg > *")].map((shape) => {
    const box = shape.getBoundingClientRect();
    return [(box.left - picture.left) / picture.width, (box.top - picture.top) / picture.height,
            box.width / picture.width, box.height / picture.height];
  });
  return { name: figure.querySelector("figcaption").firstChild.textContent, shapes };
})"""


@pytest.fixture
async def tab(chromium: Browser) -> AsyncIterator[Page]:
    """An empty tab. Nothing that it loads is refused by its policy, and no error on the page stays unseen."""
    context = await chromium.new_context(viewport={"width": 1100, "height": 900})
    page = await context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    # An answer of 401 is an error to the console, too, and so is the icon that the browser asks for and nobody has.
    answered = "Failed to load resource"
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" and answered not in m.text else None)
    yield page
    await context.close()
    assert wrong == []


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_the_first_page_leads_everywhere(tab: Page, facts: dict[str, Any], scheme: Any) -> None:
    await tab.emulate_media(color_scheme=scheme)
    await tab.goto(facts["api"])
    await expect(tab.locator("h1")).to_have_text("Image Labeler API")
    await expect(tab.locator("#environment")).to_have_text("development")
    await is_readable(tab, scheme)
    await keep(tab, f"front-{scheme}")
    for address in await tab.locator("a").evaluate_all("(links) => links.map((link) => link.href)"):
        answer = await tab.goto(address)
        assert answer is not None
        assert answer.status == 200, address


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_the_contact_sheet_draws_the_demo(tab: Page, facts: dict[str, Any], scheme: Any) -> None:
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    await tab.emulate_media(color_scheme=scheme)
    await tab.goto(f"{facts['api']}/contact-sheet")
    assert [url for url in asked if "/api/" in url or "/media/" in url] == []  # before somebody logs in
    await tab.click("#login button")
    await expect(tab.locator("#said")).to_have_text("11 of 11 images of “Demo photographs”.")
    await expect(tab.locator("figure img")).to_have_count(11)
    await tab.wait_for_function("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    drawn = {one["name"]: one["shapes"] for one in await tab.evaluate(DRAWN)}
    # Two boxes and an outline; the box of the rocket is at (358, 0) of 512 × 512, and 95 × 258 large.
    assert len(drawn["people/astronaut"]) == 3
    rocket = drawn["people/astronaut"][1]
    assert rocket == pytest.approx([358 / 512, 0, 95 / 512, 258 / 512], abs=0.02)
    inside = [
        min(x, y) >= -0.02 and max(x + width, y + height) <= 1.02
        for shapes in drawn.values()
        for x, y, width, height in shapes
    ]
    assert len(inside) == len([one for one in ANNOTATIONS if one.kind != "classification"])
    assert all(inside)
    await is_readable(tab, scheme)
    await keep(tab, f"contact-sheet-{scheme}")
    hosts = {urlsplit(url).port for url in asked}
    assert hosts == {urlsplit(facts["api"]).port}  # nothing from elsewhere
    stored = await tab.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")
    assert stored == [0, 0, ""]  # the token is nowhere but in the page


async def test_the_sheet_shows_what_the_account_may_see(tab: Page, facts: dict[str, Any]) -> None:
    await tab.goto(f"{facts['api']}/contact-sheet")
    await tab.fill("#password", "wrong")
    await tab.click("#login button")
    await expect(tab.locator("#said")).to_contain_text("password")
    await expect(tab.locator("figure")).to_have_count(0)
    assert urlsplit(tab.url).query == ""


async def is_readable(tab: Page, scheme: str) -> None:
    """The text stands out, the ground is what the person wants, and nothing has to be scrolled sideways."""
    found = await tab.evaluate(CONTRAST)
    assert found["contrast"] >= MIN_CONTRAST
    assert (found["ground"] < 0.5) == (scheme == "dark")
    assert await tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


async def keep(tab: Page, name: str, *, full_page: bool = True) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        await tab.screenshot(path=Path(folder) / f"{name}.png", full_page=full_page)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["parts", "one-request"])
async def test_a_drawing_of_the_documents_can_be_read(tab: Page, name: str, scheme: Any) -> None:
    """Its text stands inside it, no two texts lie on each other, and it stands out from its own ground."""
    await tab.emulate_media(color_scheme=scheme)
    await tab.goto((ROOT / "docs" / f"{name}.svg").as_uri())
    view, texts = await tab.evaluate("""() => [document.documentElement.viewBox.baseVal.width,
      [...document.querySelectorAll("text")].map((text) => {
        const box = text.getBBox();
        return [text.textContent, box.x, box.y, box.x + box.width, box.y + box.height];
      })]""")
    assert len(texts) > 10
    assert [text for text, left, _, right, _ in texts if left < 0 or right > view] == []
    meeting = [
        (one[0], other[0])
        for number, one in enumerate(texts)
        for other in texts[number + 1 :]
        if one[1] < other[3] and other[1] < one[3] and one[2] + 4 < other[4] and other[2] + 4 < one[4]
    ]
    assert meeting == []
    fills = await tab.evaluate("""() => [".ground", "text.soft"].map(
      (name) => getComputedStyle(document.querySelector(name)).fill.match(/[0-9.]+/g).map(Number))""")
    ground, ink = (sum(parts[:3]) / 765 for parts in fills)
    assert (ground < 0.5) == (scheme == "dark")
    assert abs(ground - ink) > 0.5
    await keep(tab, f"{name}-{scheme}", full_page=False)
