"""A whole system, a page on the frontend's origin, and headless Chromium looking at it."""

import shutil
from collections.abc import AsyncIterator, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import asyncpg
import httpx
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.journey import Journey
from tests.browser.screen import Screen
from tests.fixtures.running_stack import Up

PAGE = Path(__file__).parent / "page"
# The origin of the frontend's development server, which CORS_ORIGINS allows by default.
FRONTEND_PORT = 3010
expect.set_options(timeout=20_000)  # milliseconds; a save is a few calls, on two cores that others use as well


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """The page's own requests are of no interest."""


@pytest.fixture(scope="session")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The ready file of a system with its demo data."""
    with Up(None, "--ephemeral", files=tmp_path_factory.mktemp("browser")) as up:
        yield up.ready()


@pytest.fixture(scope="session")
def frontend() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", FRONTEND_PORT), partial(_Quiet, directory=str(PAGE)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{FRONTEND_PORT}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "Chromium is not installed; `make test-browser` installs Debian's"
    async with async_playwright() as playwright:
        # Chromium's own sandbox refuses to run as root, as containers and CI do.
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
async def page(chromium: Browser, frontend: str, facts: dict[str, Any]) -> AsyncIterator[Page]:
    """The page of the frontend, freshly opened and not logged in."""
    context = await chromium.new_context(viewport={"width": 1100, "height": 1300})
    page = await context.new_page()
    await page.goto(f"{frontend}/index.html?api={facts['api']}")
    yield page
    await context.close()


@pytest.fixture
async def journey(page: Page, facts: dict[str, Any]) -> Journey:
    """The page with the demo's owner logged in through the form."""
    account = _owner(facts)
    journey = Journey(page, facts)
    await journey.log_in(account["email"], account["password"])
    return journey


@pytest.fixture
async def screen(chromium: Browser, frontend: str, facts: dict[str, Any]) -> AsyncIterator[Screen]:
    """The annotation screen, with the owner's name and password in its form. No error on the page stays unseen."""
    account, api = _owner(facts), f"{facts['api']}/api/v1"
    context = await chromium.new_context(viewport={"width": 1400, "height": 820})
    page = await context.new_page()
    thrown: list[str] = []
    page.on("pageerror", lambda error: thrown.append(str(error)))
    await page.goto(f"{frontend}/annotate.html?api={facts['api']}")
    await page.fill("#email", account["email"])
    await page.fill("#password", account["password"])
    database = await asyncpg.connect(facts["databases"]["labeler"])
    async with httpx.AsyncClient(base_url=api, timeout=60, trust_env=False) as client:
        token = await client.post("/auth/login", json={key: account[key] for key in ("email", "password")})
        client.headers["Authorization"] = f"Bearer {token.raise_for_status().json()['access_token']}"
        yield Screen(page, database, client)
    await database.close()
    await context.close()
    assert not thrown


def _owner(facts: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in facts["accounts"] if one["role"] == "owner")
    return found
