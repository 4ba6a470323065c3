"""The pages at `/` and `/contact-sheet`: who gets one, and that they hold nothing of anybody's."""

from dataclasses import replace

import httpx
import msgspec
import pytest

from labeler_api.app import create_app
from labeler_api.http.pages.page import prefers_html
from labeler_api.settings import Settings
from labeler_ops.stack.accounts import ACCOUNTS
from tests.fixtures.api import PUBLIC_URL, Api

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        (BROWSER["Accept"], True),
        ("text/html", True),
        ("TEXT/HTML; q=0.5", True),
        ("text/html;q=0", False),
        ("text/html;q=a", False),
        ("text/html;q=0.5, application/json", False),
        ("application/json, text/plain, */*", False),
        ("*/*", False),
        ("", False),
        (",;,", False),
    ],
)
async def test_a_browser_gets_a_page_and_a_program_json(api: Api, accept: str, page: bool) -> None:
    assert prefers_html(accept) == page
    async with api.client() as client:
        answer = await client.get("/", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html" if page else "application/json")
    assert answer.headers["Vary"].startswith("Accept, Accept-Encoding")


async def test_the_page_says_what_the_json_says(api: Api) -> None:
    async with api.client() as client:
        facts = (await client.get("/")).json()
        page = (await client.get("/", headers=BROWSER)).text
    assert all(facts[key] in page for key in ("name", "version", "environment", "docs"))


@pytest.mark.parametrize("path", ["/", "/contact-sheet"])
async def test_a_page_may_run_nothing_but_its_own(api: Api, path: str) -> None:
    async with api.client() as client:
        answer = await client.get(path, headers=BROWSER)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
    assert "unsafe" not in policy
    assert "style-src 'sha256-" in policy
    assert ("script-src 'sha256-" in policy) == ("<script>" in answer.text)
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert not any(mark in answer.text for mark in ("https://", "//cdn", "onclick="))


async def test_what_comes_from_settings_is_text(api: Api) -> None:
    settings = msgspec.structs.replace(api.services.settings, app_name="<script>alert(1)</script> ${sheet}")
    page = (await asked(api, settings, "/")).text
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; ${sheet}" in page


async def test_the_contact_sheet_holds_nothing_of_anybody(api: Api) -> None:
    """Also with a token: the page's script asks for what it shows."""
    dataset = await api.dataset(owner="owner", images=1, visibility="public")
    clients = [api.client(), await api.login("owner")]
    pages = {(await client.get("/contact-sheet")).text for client in clients}
    assert len(pages) == 1
    assert not any(
        secret in page for page in pages for secret in (dataset.id, dataset.project_id, dataset.image_ids[0])
    )


async def test_the_form_names_an_account_of_the_demo_that_may_only_look(api: Api) -> None:
    async with api.client() as client:
        page = (await client.get("/contact-sheet")).text
    viewer = next(account for account in ACCOUNTS if account.role == "viewer")
    assert f'value="{viewer.email}"' in page
    assert f'value="{viewer.password}"' in page


@pytest.mark.parametrize("environment", ["staging", "production"])
async def test_there_is_no_contact_sheet_in_production(api: Api, environment: str) -> None:
    settings = msgspec.structs.replace(api.services.settings, environment=environment)
    assert (await asked(api, settings, "/contact-sheet")).status_code == 404
    page = (await asked(api, settings, "/")).text
    assert '<dt hidden><a href="/contact-sheet">' in page
    assert "Nobody may read them while METRICS_TOKEN is not set" in page


@pytest.mark.parametrize(
    ("delivery", "pictures"), [("stream", PUBLIC_URL), ("presigned", "https://store.example.com:9000")]
)
async def test_pictures_come_from_where_their_links_lead(api: Api, delivery: str, pictures: str) -> None:
    settings = msgspec.structs.replace(
        api.services.settings, image_delivery=delivery, s3_public_endpoint="https://store.example.com:9000/"
    )
    policy = (await asked(api, settings, "/contact-sheet")).headers["Content-Security-Policy"]
    assert f"img-src 'self' {pictures};" in policy


async def asked(api: Api, settings: Settings, path: str) -> httpx.Response:
    """Ask an application with other settings, as a browser asks."""
    app = create_app(settings, replace(api.services, settings=settings))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=BROWSER) as client:
        return await client.get(path)
