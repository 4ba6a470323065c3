"""What the frontend needs of a browser: pre-flights, uploads with progress, readable canvases, readable errors."""

import io
import os
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageOps
from playwright.async_api import Page, expect

import labeler_ops.stack
from tests.browser.journey import Journey

PHOTOS = Path(labeler_ops.stack.__file__).parent / "photos"


async def test_a_person_logs_in_and_sees_the_datasets(journey: Journey) -> None:
    datasets = await journey.call("GET", "/datasets")
    assert datasets
    await expect(journey.page.locator("#datasets li")).to_have_count(len(datasets))
    await expect(journey.page.locator("#datasets li").first).to_contain_text(datasets[0]["name"])


async def test_a_wrong_password_is_said_in_words(page: Page) -> None:
    await page.fill("#email", "owner@example.com")
    await page.fill("#password", "wrong")
    await page.click("#login button")
    await expect(page.locator("#me")).to_contain_text("nobody: ")
    assert "[object" not in await page.inner_text("#me")


async def test_every_call_is_pre_flighted_once_and_then_remembered(journey: Journey) -> None:
    """Playwright's request events leave pre-flights out; the DevTools protocol shows them."""
    seen: list[str] = []
    session = await journey.page.context.new_cdp_session(journey.page)
    await session.send("Network.enable")
    session.on("Network.requestWillBeSent", lambda event: seen.append(event["request"]["method"]))
    _, project_id = await journey.demo()
    seen.clear()
    for _ in range(3):
        await journey.call("POST", f"/image-locks/{project_id}/no%20image/heartbeat", {})
    assert seen.count("POST") == 3
    assert seen.count("OPTIONS") == 1, "a pre-flight that was answered is not remembered"


async def test_an_upload_shows_its_progress(journey: Journey) -> None:
    dataset = await journey.call("POST", "/datasets", {"name": "From a browser", "task_types": ["detection"]})
    await journey.page.evaluate("(id) => { window.datasetId = id; }", dataset["id"])
    photos = sorted(path for path in PHOTOS.iterdir() if path.suffix in {".png", ".jpg"})
    await journey.page.set_input_files("#files", photos)
    await journey.page.wait_for_function("window.uploadResult !== undefined", timeout=60_000)
    result = await journey.page.evaluate("window.uploadResult")
    assert result["status"] == 200, result
    assert result["body"]["images_uploaded"] == len(photos)
    assert result["body"]["folder_structure"] == {"browser": len(photos)}
    assert result["seen"] == sorted(result["seen"])
    assert result["seen"][-1] == 1.0
    assert await journey.page.evaluate("document.getElementById('progress').value") == 1.0


async def test_a_refused_upload_is_json_and_no_network_error(journey: Journey) -> None:
    await journey.page.evaluate("window.datasetId = 'ds_0000000000000000'")
    await journey.page.set_input_files("#files", [PHOTOS / "hubble_deep_field.jpg", PHOTOS / "astronaut.png"])
    await journey.page.wait_for_function("window.uploadResult !== undefined", timeout=60_000)
    result = await journey.page.evaluate("window.uploadResult")
    assert result.get("status") == 404, result
    assert isinstance(result["body"]["detail"], str)


async def test_an_image_on_a_canvas_can_be_read_back(journey: Journey, tmp_path: Path) -> None:
    """`crossOrigin=anonymous`: without the right headers the canvas would be tainted, and reading it an error.

    SCREENSHOTS=<directory> keeps a picture of the page.
    """
    _, project_id = await journey.demo()
    images = (await journey.call("GET", f"/projects/{project_id}/images?limit=50&offset=0"))["images"]
    await journey.page.evaluate("(images) => thumbnails(images)", images)
    for name in ("rotated", "astronaut"):  # the first is turned by its EXIF orientation, the second carries boxes
        image = next(one for one in images if name in one["id"])
        annotations = await journey.call("GET", f"/annotations/project/{project_id}?image_id={image['id']}")
        picture, (x, y) = await _picture(image), (150, 100)
        drawn = await journey.page.evaluate("([i, a, p]) => draw(i, a, p)", [image, annotations, [x, y]])
        assert drawn["width"] == image["width"] == picture.width
        assert drawn["height"] == image["height"] == picture.height
        expected: Any = picture.getpixel((x, y))
        # Two JPEG decoders may differ by a few levels, two places of the photograph by dozens.
        assert all(abs(a - b) <= 6 for a, b in zip(drawn["pixel"][:3], expected, strict=True)), (drawn, expected)
    assert annotations
    await journey.page.screenshot(path=Path(os.environ.get("SCREENSHOTS", tmp_path)) / "page.png", full_page=True)


async def test_errors_are_read_from_their_detail(journey: Journey) -> None:
    _, project_id = await journey.demo()
    missing = await journey.detail("GET", "/projects/proj_000000000000")
    wrong = await journey.detail("POST", "/annotations", {"project_id": project_id})
    async with journey.without_table("annotation_versions"):
        broken = await journey.detail("GET", f"/projects/{project_id}/versions")
    assert "project" in missing.lower()
    assert wrong == "The image id is missing."
    assert "annotation_versions" not in broken, "the answer to a defect of ours shows SQL"
    assert "[object" not in missing + wrong + broken
    await expect(journey.page.locator("#errors li")).to_have_count(3)
    assert await journey.call("GET", f"/projects/{project_id}/versions")


async def _picture(image: dict[str, Any]) -> Image.Image:
    async with httpx.AsyncClient() as client:
        content = (await client.get(image["url"])).content
    return ImageOps.exif_transpose(Image.open(io.BytesIO(content)).convert("RGB"))
