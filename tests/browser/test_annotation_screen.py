"""An annotation screen in Chromium: a mouse draws, keys move and undo, files are uploaded, filters count.

What the page shows is compared with the rows of the database.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.async_api import FilePayload, expect

from tests.browser.screen import Screen
from tests.fixtures.pictures import picture

COLOUR = (40, 120, 200)
SIZE = (640, 480)
MANY, ANNOTATED, CONFIRMED = 300, range(250, 260), range(250, 255)


def _file(name: str, content: bytes, kind: str = "image/jpeg") -> FilePayload:
    return {"name": name, "mimeType": kind, "buffer": content}


def _jpeg(name: str) -> FilePayload:
    return _file(name, picture(*SIZE, colour=COLOUR))


@pytest.fixture
async def opened(screen: Screen, request: pytest.FixtureRequest) -> Screen:
    """The screen with a new dataset of two tasks and one image, which is open."""
    await screen.open_new(request.node.name)
    await screen.upload([_jpeg("one.jpg")])
    await expect(screen.page.locator("#opened")).to_have_text("browser/one")
    return screen


async def test_a_box_is_drawn_moved_deleted_and_brought_back(opened: Screen) -> None:
    await opened.status("not-started")
    await opened.drag((100, 80), (220, 200))
    await opened.status("in-progress")
    (drawn,) = await opened.rows()
    assert drawn["geometry"]["bbox"] == [100, 80, 120, 120]
    width, height = SIZE
    assert drawn["geometry"]["image_width"] == width
    assert drawn["geometry"]["image_height"] == height
    assert drawn["class_name"] == "scratch"
    assert drawn["task_type"] == "detection"
    assert await opened.drawn() == [f"#{drawn['id']} bbox 100,80,120,120 draft"]

    await opened.press("ArrowRight", "Moved")
    assert await opened.drawn() == [f"#{drawn['id']} bbox 101,80,120,120 draft"]
    assert [row["geometry"]["bbox"] for row in await opened.rows()] == [[101, 80, 120, 120]]

    await opened.press("Delete", "Deleted")
    await opened.status("not-started")
    assert await opened.drawn() == []
    assert await opened.rows() == []

    await opened.press("Control+z", "Undone")
    await opened.status("in-progress")
    assert [row["id"] for row in await opened.rows()] == [drawn["id"]], "the deletion is not undone, but copied"
    assert await opened.drawn() == [f"#{drawn['id']} bbox 101,80,120,120 draft"]

    await opened.press("Control+z", "Undone")  # the move of before: an edit of the id that was deleted
    assert await opened.drawn() == [f"#{drawn['id']} bbox 100,80,120,120 draft"]
    (row,) = await opened.rows()
    assert row["geometry"]["bbox"] == [100, 80, 120, 120]
    assert (await opened.actions(drawn["id"]))[:3] == ["create", "update", "delete"]
    assert (await opened.actions(drawn["id"]))[-1] == "update"


async def test_a_vertex_of_a_polyline_is_moved_by_an_arrow_key(opened: Screen) -> None:
    await opened.page.select_option("#task", "geometry")
    await expect(opened.page.locator("#opened")).to_have_text("browser/one")
    await opened.draw_line((50, 60), (150, 90), (260, 300))
    await opened.select((150, 90))
    await opened.press("ArrowDown", "Moved")
    await opened.press("ArrowDown", "Moved")
    (row,) = await opened.rows()
    assert await opened.drawn() == [f"#{row['id']} polyline 50,60 150,92 260,300 draft"]
    assert row["annotation_type"] == "polyline"
    assert row["task_type"] == "geometry"
    assert row["geometry"]["type"] == "polyline"
    assert row["geometry"]["points"] == [[50, 60], [150, 92], [260, 300]]


async def test_a_deleted_no_object_is_brought_back(opened: Screen) -> None:
    await opened.page.click("#no-object")
    await opened.said("No object")
    (said,) = await opened.rows()
    await opened.press("Delete", "Deleted")
    await opened.status("not-started")
    assert await opened.rows() == []
    await opened.press("Control+z", "Undone")
    await opened.status("in-progress")
    (row,) = await opened.rows()
    assert row["id"] == said["id"]
    assert row["task_type"] == "detection"
    assert await opened.drawn() == [f"#{said['id']} no_object confirmed"]


async def test_a_refused_upload_has_no_green_tick(screen: Screen) -> None:
    await screen.open_new("Uploads")
    good = await screen.upload([_jpeg("good.jpg")])
    await expect(good).to_have_class("stored")
    await expect(good).to_have_text("1 stored")

    broken = await screen.upload([_file("broken.jpg", b"this is no picture")])
    await expect(broken).to_have_class("refused")
    await expect(broken).to_contain_text("broken.jpg")

    no_json = await screen.upload([_jpeg("other.jpg")], _file("boxes.json", b"{ no json", "application/json"))
    await expect(no_json).to_have_class("refused")
    await expect(no_json).to_contain_text("JSON")

    unknown = {"images": [{"id": 1, "file_name": "elsewhere.jpg"}], "annotations": [], "categories": []}
    unknown["annotations"] = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}]
    unknown["categories"] = [{"id": 1, "name": "scratch"}]
    file = _file("boxes.json", json.dumps(unknown).encode(), "application/json")
    elsewhere = await screen.upload([_jpeg("third.jpg")], file)
    await expect(elsewhere).to_have_class("refused")

    assert await screen.image_ids() == ["browser/good"]
    await expect(screen.page.locator("#images li")).to_have_count(1)
    await expect(screen.page.locator("#uploads .stored")).to_have_count(1)
    assert "[object" not in await screen.page.inner_text("#uploads")


async def test_a_tiff_is_drawn(screen: Screen) -> None:
    await screen.open_new("A TIFF")
    await screen.upload([_file("scan.tif", picture(*SIZE, "TIFF", colour=COLOUR), "image/tiff")])
    await expect(screen.page.locator("#opened")).to_have_text("browser/scan")
    size = await screen.page.evaluate("[picture.naturalWidth, picture.naturalHeight]")
    assert tuple(size) == SIZE
    pixel = await screen.page.evaluate(
        """() => {
          const context = Object.assign(document.createElement("canvas"), { width: 640, height: 480 }).getContext("2d");
          context.drawImage(picture, 0, 0);
          return Array.from(context.getImageData(320, 240, 1, 1).data);
        }"""
    )
    assert all(abs(a - b) <= 6 for a, b in zip(pixel[:3], COLOUR, strict=True)), pixel
    await screen.drag((10, 10), (60, 60))
    assert len(await screen.rows()) == 1


async def test_the_filters_count_images_past_the_first_two_hundred(screen: Screen, tmp_path: Path) -> None:
    """SCREENSHOTS=<directory> keeps a picture of the page."""
    await screen.open_new("Three hundred", "detection")
    tiny = picture(64, 48, colour=COLOUR)
    await screen.upload([_file(f"{number:03}.jpg", tiny) for number in range(MANY)])
    await _annotate(screen)
    await screen.log_in_again("Three hundred")
    assert await _truth(screen) == _Progress(completed=5, in_progress=5, not_started=290)
    await screen.filters(5, 5, 290)

    rows = screen.page.locator("#images li")
    await screen.page.hover("#images")
    while (shown := await rows.count()) < MANY:
        await screen.page.mouse.wheel(0, 20_000)
        await expect(rows).not_to_have_count(shown)
        await screen.filters(5, 5, 290)

    await screen.page.get_by_role("button", name="in progress").click()
    await expect(rows).to_have_count(5)
    await rows.last.click()
    await screen.status("in-progress")
    await screen.page.click("#confirm")
    await screen.said("Confirmed")
    await screen.page.get_by_role("button", name="all").click()
    await screen.filters(6, 4, 290)
    await screen.page.screenshot(path=Path(os.environ.get("SCREENSHOTS", tmp_path)) / "annotate.png")
    assert await _truth(screen) == _Progress(completed=6, in_progress=4, not_started=290)


async def _annotate(screen: Screen) -> None:
    """Ten images past the first 200 get a box; five of them are confirmed."""
    path = f"/projects/{screen.project_id}/images"
    images = (await screen.client.get(path, params={"limit": 50, "offset": 250})).json()["images"]
    for position in ANNOTATED:
        image_id = images[position - 250]["id"]
        geometry = {"type": "bbox", "bbox": [5, 5, 20, 20], "image_width": 64, "image_height": 48}
        body = {"project_id": screen.project_id, "image_id": image_id, "annotation_type": "bbox", "geometry": geometry}
        made = (await screen.client.post("/annotations", json=body)).raise_for_status().json()
        if position in CONFIRMED:
            (await screen.client.post(f"/annotations/{made['id']}/confirm", json={})).raise_for_status()


class _Progress(NamedTuple):
    completed: int
    in_progress: int
    not_started: int


async def _truth(screen: Screen) -> _Progress:
    """How far the images are, told by the annotations alone."""
    states = await screen.database.fetch(
        "SELECT bool_and(annotation_state = 'confirmed') AS done FROM annotations"
        " WHERE project_id = $1 AND task_type = 'detection' GROUP BY image_id",
        screen.project_id,
    )
    done = sum(row["done"] for row in states)
    return _Progress(done, len(states) - done, len(await screen.image_ids()) - len(states))
