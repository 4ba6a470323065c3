"""What the real frontend was seen doing: partial writes, calls side by side, a page that navigates to a file."""

import asyncio

import httpx

from tests.frontend.opened import BOX, FOLDER_ID, TASK, OpenProject, ok


async def test_a_box_is_moved_with_its_geometry_alone(opened: OpenProject) -> None:
    drawn = await opened.draw(notes="left side", confidence=50)
    moved = {"type": "bbox", "bbox": [1.5, 2, 3, 4]}  # keyboard edits send no width and height
    answer = ok(await opened.owner.put(f"/api/v1/annotations/{drawn['id']}", json={"geometry": moved})).json()
    unchanged = ("class_id", "class_name", "attributes", "confidence", "notes", "annotation_state", "created_at")
    assert answer["geometry"] == moved
    assert {name: answer[name] for name in unchanged} == {name: drawn[name] for name in unchanged}


async def test_release_and_acquire_side_by_side_never_stop_the_next_save(opened: OpenProject) -> None:
    path = f"/api/v1/image-locks/{opened.project_id}/{FOLDER_ID}"
    drawn = await opened.draw()
    for _ in range(10):
        saved, released, acquired = await asyncio.gather(
            opened.owner.put(f"/api/v1/annotations/{drawn['id']}", json={"geometry": BOX}),
            opened.owner.delete(path),
            opened.owner.post(f"{path}/acquire", json={}),
        )
        assert [answer.status_code for answer in (saved, released, acquired)] == [200, 200, 200]


async def test_the_link_of_a_version_is_a_download_and_no_page(opened: OpenProject) -> None:
    drawn = await opened.draw()
    ok(await opened.owner.post(f"/api/v1/annotations/{drawn['id']}/confirm", json={}))
    body = {**TASK, "export_format": "coco", "include_draft": False}
    version = ok(await opened.owner.post(f"/api/v1/projects/{opened.project_id}/versions/publish", json=body)).json()
    async with opened.api.client() as browser:  # a navigation sends no token
        file = ok(await browser.get(version["download_url"]))
    assert file.headers["Content-Disposition"].startswith("attachment; filename=")
    assert httpx.Response(200, content=file.content).json()["annotations"][0]["bbox"] == BOX["bbox"]


async def test_unknown_query_parameters_and_body_keys_are_ignored(opened: OpenProject) -> None:
    ok(await opened.owner.get(f"/api/v1/datasets/{opened.dataset_id}/images?limit=8&offset=0&shade=blue"))
    drawn = await opened.draw(colour="blue", task_type="segmentation")
    assert drawn["annotation_type"] == "bbox"


async def test_a_trailing_slash_is_redirected_with_its_query(opened: OpenProject) -> None:
    answer = await opened.owner.get(f"/api/v1/projects/{opened.project_id}/?a=1")
    assert answer.status_code == 307
    assert answer.headers["Location"].endswith(f"/api/v1/projects/{opened.project_id}?a=1")
