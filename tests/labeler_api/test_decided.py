"""What docs/http-api.md and OpenAPI say was decided, asked of the API."""

from typing import Any

import msgspec

from tests.fixtures.annotating import box, create_annotation, project_with_members
from tests.fixtures.api import Api
from tests.test_documents import ROOT

LOCK = "/image-locks/{project_id}/{image_id}"
OPENAPI: dict[str, Any] = msgspec.json.decode((ROOT / "docs" / "openapi.json").read_bytes())
SAID = " ".join((ROOT / "docs" / "http-api.md").read_text().split())


def described(method: str, path: str) -> str:
    text: str = OPENAPI["paths"][f"/api/v1{path}"][method]["description"]
    return text


async def test_a_lock_on_an_image_that_is_not_there_is_404(api: Api) -> None:
    dataset = await project_with_members(api)
    owner = await api.login("owner")
    where = f"/api/v1/image-locks/{dataset.project_id}/nowhere"
    answer = await owner.post(f"{where}/acquire", json={})
    assert answer.status_code == 404
    assert answer.json()["code"] == "image_not_found"
    for answer in (
        await owner.post(f"{where}/heartbeat", json={}),
        await owner.delete(where),
        await owner.delete(f"{where}/force"),
    ):
        assert answer.status_code == 200
        assert answer.json()["status"] == "not_locked"
    answer = await owner.get(f"{where}/status")
    assert answer.status_code == 200
    assert answer.json() is None
    assert "does not have is a 404" in described("post", LOCK + "/acquire")
    assert "acquire is 404 `image_not_found`" in SAID


async def test_the_project_of_an_export_is_that_of_its_address(api: Api) -> None:
    dataset = await api.dataset(images=1, tasks=["detection"])
    owner = await api.login("owner")
    one = await create_annotation(owner, box(dataset))
    assert (await owner.post(f"/api/v1/annotations/{one['id']}/confirm", json={})).status_code == 200
    for more in ({}, {"project_id": "proj_another"}):
        answer = await owner.post(
            f"/api/v1/projects/{dataset.project_id}/export", json={"export_format": "coco", **more}
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["annotation_count"] == 1, answer.text
    assert "`project_id` may be left out" in described("post", "/projects/{project_id}/export")
    answer = await owner.post("/api/v1/export", json={"export_format": "coco", "task_type": "detection"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "project_id"]


async def test_voc_is_published(api: Api) -> None:
    dataset = await api.dataset(images=1, tasks=["detection"])
    owner = await api.login("owner")
    one = await create_annotation(owner, box(dataset))
    assert (await owner.post(f"/api/v1/annotations/{one['id']}/confirm", json={})).status_code == 200
    body = {"task_type": "detection", "export_format": "VOC"}
    answer = await owner.post(f"/api/v1/projects/{dataset.project_id}/versions/publish", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["export_format"] == "voc", answer.text
    file = await owner.get(answer.json()["download_url"])
    assert "annotations_voc" in file.headers["content-disposition"] or ".zip" in file.headers["content-disposition"]
    assert "dice, coco, yolo and voc" in described("post", "/projects/{project_id}/versions/publish")
