"""What a person does on the annotation screen, and what the database then holds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Any

import asyncpg
import httpx
from playwright.async_api import FilePayload, Locator, Page, expect

TASK_TYPES = ["detection", "geometry"]
UPLOAD_MS = 60_000  # three hundred pictures on two cores that others use as well
Point = tuple[int, int]


@dataclass
class Screen:
    """The annotation screen with its owner logged in; a connection to its database, and a client with their token."""

    page: Page
    database: asyncpg.Connection
    client: httpx.AsyncClient
    dataset_id: str = ""
    project_id: str = ""

    async def open_new(self, name: str, *task_types: str) -> None:
        """Make a dataset with a class for each task, as the wizard does, and open it."""
        body = {"name": name, "task_types": task_types or TASK_TYPES}
        self.dataset_id = (await self.client.post("/datasets", json=body)).raise_for_status().json()["id"]
        project = await self.client.get(f"/datasets/{self.dataset_id}/project")
        self.project_id = project.raise_for_status().json()["id"]
        for task in task_types or TASK_TYPES:
            new = {"name": "scratch", "color": "#ff0000"}
            path = f"/projects/{self.project_id}/classes"
            (await self.client.post(path, params={"task_type": task}, json=new)).raise_for_status()
        await self.log_in_again(name)

    async def log_in_again(self, name: str) -> None:
        """Log in, which lists the datasets, and open the one of this name."""
        await self.page.click("#login button")
        await self.page.get_by_role("button", name=name, exact=True).click()
        await expect(self.page.locator("#task option").first).to_be_attached()

    async def upload(self, files: Sequence[FilePayload], annotation_file: FilePayload | None = None) -> Locator:
        """Choose files and send them; the line that says what became of them."""
        lines = self.page.locator("#uploads li")
        before = await lines.count()
        await self.page.set_input_files("#files", files)
        if annotation_file:
            await self.page.set_input_files("#annotation-file", annotation_file)
        await self.page.click("#upload button")
        await expect(lines).to_have_count(before + 1, timeout=UPLOAD_MS)
        return lines.last

    async def open_image(self, image_id: str) -> None:
        """Choose an image in the list, and wait until it is drawn."""
        await self.page.locator("#images li", has_text=image_id).click()
        await expect(self.page.locator("#opened")).to_have_text(image_id)

    async def drag(self, start: Point, end: Point) -> None:
        """Draw a box with the mouse."""
        await self._hush()
        await self.page.select_option("#tool", "bbox")
        await self.page.mouse.move(*await self._on_canvas(start))
        await self.page.mouse.down()
        await self.page.mouse.move(*await self._on_canvas(((start[0] + end[0]) // 2, end[1])))
        await self.page.mouse.move(*await self._on_canvas(end))
        await self.page.mouse.up()
        await self.said("Drawn")

    async def draw_line(self, *points: Point) -> None:
        """Draw a polyline, a click a vertex."""
        await self._hush()
        await self.page.select_option("#tool", "polyline")
        for point in points:
            await self.page.mouse.click(*await self._on_canvas(point))
        await self.page.keyboard.press("Enter")
        await self.said("Drawn")

    async def select(self, point: Point) -> None:
        """Click a shape or a vertex."""
        await self.page.select_option("#tool", "select")
        await self.page.mouse.click(*await self._on_canvas(point))
        await expect(self.page.locator("#annotations .selected")).to_have_count(1)

    async def press(self, key: str, says: str) -> None:
        """Press a key, and wait until the screen says what came of it."""
        await self._hush()
        await self.page.keyboard.press(key)
        await self.said(says)

    async def said(self, words: str) -> None:
        await expect(self.page.locator("#said")).to_have_text(words)

    async def drawn(self) -> list[str]:
        """The annotations of the task that the screen lists, in words."""
        return await self.page.locator("#annotations li").all_inner_texts()

    async def status(self, text: str) -> None:
        await expect(self.page.locator("#status")).to_have_text(text)

    async def filters(self, completed: int, in_progress: int, not_started: int) -> None:
        """Wait until the filters show these numbers."""
        total = completed + in_progress + not_started
        texts = [f"all {total}", f"completed {completed}", f"in progress {in_progress}", f"not started {not_started}"]
        await expect(self.page.locator("#filters button")).to_have_text(texts)

    async def rows(self) -> list[dict[str, Any]]:
        """The project's annotations in the database."""
        found = await self.database.fetch(
            "SELECT id, annotation_type, geometry, task_type, annotation_state, class_name, version"
            " FROM annotations WHERE project_id = $1 ORDER BY id",
            self.project_id,
        )
        return [{**row, "geometry": json.loads(row["geometry"])} for row in found]

    async def actions(self, annotation_id: int) -> list[str]:
        """What the history says was done to an annotation, oldest first."""
        found = await self.database.fetch(
            "SELECT action FROM annotation_history WHERE annotation_id = $1 ORDER BY id", annotation_id
        )
        return [row["action"] for row in found]

    async def image_ids(self) -> list[str]:
        """The dataset's images in the database."""
        found = await self.database.fetch(
            "SELECT id FROM image_metadata WHERE dataset_id = $1 ORDER BY id", self.dataset_id
        )
        return [row["id"] for row in found]

    async def _hush(self) -> None:
        await self.page.evaluate("show('said', '')")

    async def _on_canvas(self, point: Point) -> Point:
        box = await self.page.locator("#canvas").bounding_box()
        assert box is not None
        return floor(box["x"]) + point[0], floor(box["y"]) + point[1]
