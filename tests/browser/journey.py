"""What a person does on the page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from playwright.async_api import Page, expect


@dataclass
class Journey:
    """A page whose calls reach a running system."""

    page: Page
    facts: dict[str, Any]

    async def log_in(self, email: str, password: str) -> None:
        await self.page.fill("#email", email)
        await self.page.fill("#password", password)
        await self.page.click("#login button")
        await expect(self.page.locator("#me")).to_contain_text("(")
        await expect(self.page.locator("#datasets li").first).to_be_visible()

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """A call of the page's fetch wrapper; its JSON answer."""
        return await self.page.evaluate("([m, p, b]) => call(m, p, b ?? undefined)", [method, path, body])

    async def detail(self, method: str, path: str, body: object = None) -> str:
        """The `detail` that the page shows of a call that fails."""
        text: str = await self.page.evaluate("([m, p, b]) => failing(m, p, b ?? undefined)", [method, path, body])
        return text

    async def demo(self) -> tuple[str, str]:
        """The ids of the demo's dataset and its project."""
        dataset_id = (await self.call("GET", "/datasets"))[-1]["id"]
        return dataset_id, (await self.call("GET", f"/datasets/{dataset_id}/project"))["id"]

    @asynccontextmanager
    async def without_table(self, table: str) -> AsyncIterator[None]:
        """A table is gone for a while, which no code expects: a real 500."""
        connection = await asyncpg.connect(self.facts["databases"]["labeler"])
        try:
            await connection.execute(f"ALTER TABLE {table} RENAME TO {table}_hidden")
            yield
        finally:
            await connection.execute(f"ALTER TABLE IF EXISTS {table}_hidden RENAME TO {table}")
            await connection.close()
