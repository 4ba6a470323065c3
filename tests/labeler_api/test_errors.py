"""Every answer other than success: JSON with a sentence, a code and the request's id, readable by browsers."""

import json

import httpx
import pytest

from tests.fixtures.api import ORIGIN, Api

JSON = {"Content-Type": "application/json"}


def _check(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
    assert "Origin" in answer.headers["Vary"]
    body: dict[str, object] = answer.json()
    assert isinstance(body["detail"], str)
    assert body["detail"]
    assert body["code"] == code
    assert body["request_id"] == answer.headers["X-Request-Id"]
    return body


async def test_401(api: Api) -> None:
    async with api.client() as client:
        _check(await client.get("/api/v1/datasets"), 401, "not_authenticated")


async def test_403(api: Api) -> None:
    dataset = await api.dataset(members={"viewer": "viewer"})
    viewer = await api.login("viewer")
    answer = await viewer.post(f"/api/v1/projects/{dataset.project_id}/task-types", json={"task_type": "line"})
    _check(answer, 403, "role_too_low")


async def test_404_of_a_thing_and_of_an_address(api: Api) -> None:
    owner = await api.login("owner")
    _check(await owner.get("/api/v1/datasets/ds_none"), 404, "project_not_found")
    for path in ("/nowhere", "/api/v1/nowhere", "/api/v2/datasets"):
        _check(await owner.get(path), 404, "route_not_found")


@pytest.mark.parametrize("method", ["HEAD", "DELETE", "PATCH", "TRACE", "BREW"])
async def test_405(api: Api, method: str) -> None:
    answer = await (await api.login("owner")).request(method, "/api/v1/auth/me")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET"
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    if method != "HEAD":
        _check(answer, 405, "method_not_allowed")


async def test_413_announced_and_not(api: Api) -> None:
    owner = await api.login("owner")
    size = api.services.settings.max_json_bytes + 1

    async def unannounced() -> object:
        for _ in range(size // 65536 + 1):
            yield b" " * 65536

    for content in (b" " * size, unannounced()):
        body = _check(await owner.post("/api/v1/datasets", content=content, headers=JSON), 413, "body_too_large")  # type: ignore[arg-type]
        assert str(size - 1) in str(body["detail"])


async def test_422_says_where(api: Api) -> None:
    owner = await api.login("owner")
    body = _check(await owner.post("/api/v1/datasets", json={"name": "x", "task_types": ["line", 3]}), 422, "invalid")
    assert [error["loc"] for error in body["errors"]] == [["body", "task_types", 1]]  # type: ignore[attr-defined]
    body = _check(await owner.get("/api/v1/datasets", params={"skip": "x"}), 422, "invalid")
    assert [error["loc"] for error in body["errors"]] == [["query", "skip"]]  # type: ignore[attr-defined]
    body = _check(await owner.get("/api/v1/users/x"), 422, "invalid")
    assert [error["loc"] for error in body["errors"]] == [["path", "user_id"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"name": "x",}',
        b'{"name": "\xed\xa0\x80"}',
        b'{"name": NaN}',
        b'{"name": "x"} {}',
        b'{"unknown": ' + b"[" * 100_000,
    ],
)
async def test_422_of_what_is_no_json(api: Api, content: bytes) -> None:
    answer = await (await api.login("owner")).post("/api/v1/datasets", content=content, headers=JSON)
    body = _check(answer, 422, "json_invalid")
    assert body["errors"][0]["loc"] == ["body"]  # type: ignore[index]


async def test_500_says_nothing_but_the_id_and_the_log_has_the_rest(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = await api.login("owner")
    async with api.db.begin() as tx:
        await tx.execute("ALTER TABLE image_metadata RENAME TO elsewhere")
    made = (await owner.post("/api/v1/datasets", json={"name": "x"})).json()
    answer = await owner.get(f"/api/v1/datasets/{made['id']}/size")
    body = _check(answer, 500, "internal_error")
    assert body.keys() == {"detail", "code", "request_id"}
    assert "image_metadata" not in answer.text
    assert str(body["request_id"]) in str(body["detail"])
    logged = capsys.readouterr().out
    assert str(body["request_id"]) in logged
    assert 'relation "image_metadata" does not exist' in logged


async def test_checks_come_in_this_order_token_then_form_then_thing(api: Api) -> None:
    owner = await api.login("owner")
    url = "/api/v1/projects/proj_none/task-types"
    async with api.client() as client:
        _check(await client.post(url, content=b"{", headers=JSON), 401, "not_authenticated")
    _check(await owner.post(url, content=b"{", headers=JSON), 422, "json_invalid")
    _check(await owner.post(url, json={"task_type": "line"}), 404, "project_not_found")


async def test_the_request_id_of_the_caller_is_kept_when_it_is_one(api: Api) -> None:
    owner = await api.login("owner")
    kept = await owner.get("/api/v1/datasets/ds_none", headers={"X-Request-Id": "trace-0123456789"})
    assert kept.json()["request_id"] == kept.headers["X-Request-Id"] == "trace-0123456789"
    for odd in ("short", "x" * 65, 'a"b<c>d{e}f', "spaces in it 123"):
        made = await owner.get("/api/v1/datasets/ds_none", headers={"X-Request-Id": odd})
        assert made.headers["X-Request-Id"] != odd
        assert len(made.headers["X-Request-Id"]) == 16


async def test_pre_flights_are_answered_and_kept(api: Api) -> None:
    asked = {
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization,content-type,if-match",
    }
    async with api.client() as client:
        answer = await client.options("/api/v1/projects/x/classes/reorder", headers=asked)
        refused = await client.options("/api/v1/datasets", headers={**asked, "Origin": "https://evil.example"})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert "if-match" in answer.headers["Access-Control-Allow-Headers"]
    assert int(answer.headers["Access-Control-Max-Age"]) >= 7200
    assert refused.status_code == 400
    assert "Access-Control-Allow-Origin" not in refused.headers
    assert isinstance(refused.json()["detail"], str)


async def test_a_foreign_origin_gets_no_permission(api: Api) -> None:
    owner = await api.login("owner")
    answer = await owner.get("/api/v1/datasets", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Origin" in answer.headers["Vary"]


async def test_a_trailing_slash_is_redirected(api: Api) -> None:
    answer = await (await api.login("owner")).get("/api/v1/datasets/")
    assert answer.status_code == 307
    assert answer.headers["Location"].endswith("/api/v1/datasets")


async def test_every_error_of_a_body_is_json_whatever_is_accepted(api: Api) -> None:
    owner = await api.login("owner")
    answer = await owner.get("/api/v1/datasets/ds_none", headers={"Accept": "text/html", "Accept-Encoding": "gzip"})
    assert json.loads(answer.content)["code"] == "project_not_found"
