"""Of two faults in one request the earlier check answers, in the order of docs/architecture.md."""

from typing import Any

import httpx

from labeler_api.process.maintenance import Maintenance
from tests.fixtures.annotating import box, project_with_members
from tests.fixtures.api import Api

PATH = "/api/v1/annotations"
NOT_JSON, NO_KEY = {"Content-Type": "text/plain"}, {"Idempotency-Key": "no key"}
JSON = {"Content-Type": "application/json"}
TOO_LONG = {"Content-Length": str(2**40), **JSON}


async def _code(client: httpx.AsyncClient, path: str = PATH, **request: Any) -> tuple[int, str]:
    answer = await client.post(path, **request)
    return answer.status_code, answer.json()["code"]


async def test_the_path_comes_before_the_token_and_the_token_before_the_body(api: Api) -> None:
    async with api.client() as nobody:
        assert (await _code(nobody, "/api/v1/nowhere", content=b"{"))[0] == 404
        assert (await _code(nobody, content=b"{}", headers=TOO_LONG))[0] == 401
        object.__setattr__(api.services, "maintenance", Maintenance(forced=True))
        assert (await _code(nobody, content=b"{}", headers=TOO_LONG))[0] == 401


async def test_maintenance_comes_before_the_body(api: Api) -> None:
    viewer = await api.login("viewer")
    object.__setattr__(api.services, "maintenance", Maintenance(forced=True))
    assert await _code(viewer, content=b"{}", headers=TOO_LONG) == (503, "maintenance")


async def test_a_body_is_judged_by_its_type_its_size_and_its_form_and_then_the_key(api: Api) -> None:
    viewer = await api.login("viewer")
    assert await _code(viewer, content=b"{", headers={**TOO_LONG, **NOT_JSON}) == (422, "not_json")
    assert await _code(viewer, content=b"{", headers={**TOO_LONG, **NO_KEY}) == (413, "body_too_large")
    assert await _code(viewer, content=b"{", headers={**JSON, **NO_KEY}) == (422, "json_invalid")


async def test_the_key_comes_before_the_role_and_the_role_before_what_is_stored(api: Api) -> None:
    dataset = await project_with_members(api)
    stranger, viewer, annotator = [await api.login(name) for name in ("stranger", "viewer", "annotator")]
    missing = box(dataset) | {"image_id": "no/such/image"}
    assert await _code(viewer, json=box(dataset), headers=NO_KEY) == (422, "invalid")
    assert await _code(stranger, json=missing) == (404, "project_not_found")
    assert (await _code(viewer, json=missing))[0] == 403
    assert await _code(annotator, json=missing) == (404, "image_not_found")


async def test_values_that_need_no_database_may_come_before_the_role(api: Api) -> None:
    dataset = await project_with_members(api)
    stranger = await api.login("stranger")
    assert await _code(stranger, json=box(dataset, annotation_type="cube")) == (400, "unknown_annotation_type")


async def test_the_size_of_a_form_comes_after_the_role(api: Api) -> None:
    dataset = await project_with_members(api)
    form = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(2**40)}
    path = f"/api/v1/datasets/{dataset.id}/images"
    assert (await _code(await api.login("viewer"), path, content=b"", headers=form))[0] == 403
    assert await _code(await api.login("admin"), path, content=b"", headers=form) == (413, "body_too_large")
