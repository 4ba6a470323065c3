"""`/datasets/upload` sent again with its Idempotency-Key: the same request goes on, another one is refused."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.fixtures.annotation_files import boxes, coco
from tests.fixtures.api import Api
from tests.fixtures.pictures import archive, picture
from tests.fixtures.rows import rows
from tests.fixtures.waiting import until_true

KEY = {"Idempotency-Key": "one-dataset"}
FORM = {**KEY, "Content-Type": "multipart/form-data; boundary=x"}
FIELD = b'--x\r\nContent-Disposition: form-data; name="dataset_name"\r\n\r\nA\r\n'
FILE = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n'
END = b"--x--\r\n"
A, B, C = picture(10, 10), picture(20, 10), picture(30, 30, "PNG")
FIRST: dict[str, Any] = {
    "data": {"dataset_name": "A", "task_types": '["detection"]'},
    "files": [
        ("files", ("a.jpg", A)),
        ("files", ("all.zip", archive({"x/1.jpg": B}))),
        ("files", ("../refused.jpg", A)),
        ("annotation_file", ("labels.json", coco(boxes(1), ["a.jpg"]))),
    ],
}


def changed(**given: Any) -> dict[str, Any]:
    return FIRST | given


def with_file(number: int, *file: Any) -> dict[str, Any]:
    files = list(FIRST["files"])
    files[number : number + 1] = file
    return changed(files=files)


async def send(client: httpx.AsyncClient, request: dict[str, Any]) -> httpx.Response:
    return await client.post("/api/v1/datasets/upload", **request, headers=KEY, timeout=60)


async def images(api: Api) -> list[tuple[str, str, int]]:
    found = await rows(api, "SELECT dataset_id, id, size FROM image_metadata ORDER BY 1, 2")
    return [(row["dataset_id"], row["id"], row["size"]) for row in found]


def must_be_refused(answer: httpx.Response) -> None:
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "idempotency_key_reused", answer.text
    assert "dataset_id" not in answer.json()


@pytest.mark.parametrize(
    "other",
    [
        changed(data={"dataset_name": "B", "task_types": '["detection"]'}),
        changed(data={"dataset_name": "A"}),
        changed(data={**FIRST["data"], "visibility": "public"}),
        changed(data={**FIRST["data"], "dataset_description": "x"}),
        with_file(0, ("files", ("a.jpg", B))),
        with_file(0, ("files", ("b.jpg", A))),
        with_file(1, ("files", ("all.zip", archive({"x/1.jpg": B, "x/2.jpg": B})))),
        with_file(2, ("files", ("../other.jpg", A))),
        with_file(3, ("annotation_file", ("labels.json", coco(boxes(1, 2), ["a.jpg"])))),
        with_file(3),
        with_file(3, FIRST["files"][3], ("files", ("late.jpg", A))),
        changed(files=[FIRST["files"][1], FIRST["files"][0], *FIRST["files"][2:]]),
    ],
)
async def test_another_request_with_the_key_is_refused_and_changes_nothing(api: Api, other: dict[str, Any]) -> None:
    owner = await api.login("owner")
    first = await send(owner, FIRST)
    assert first.status_code == 201, first.text
    before = await images(api)
    must_be_refused(await send(owner, other))
    assert await images(api) == before
    assert len(await rows(api, "SELECT id FROM datasets")) == 1
    again = await send(owner, FIRST)
    assert again.status_code == 201
    assert again.json()["dataset_id"] == first.json()["dataset_id"]
    assert await images(api) == before


async def test_a_request_that_was_cut_off_goes_on_and_another_one_does_not(api: Api) -> None:
    owner = await api.login("owner")
    whole = FILE % b"a.jpg" + A + b"\r\n" + FILE % b"b.jpg" + B + b"\r\n"
    cut = FIELD + whole + FILE % b"c.png" + C[:20]
    answer = await owner.post("/api/v1/datasets/upload", content=cut, headers=FORM)
    assert answer.status_code == 400
    assert answer.json()["images_uploaded"] == 2
    before = await images(api)
    for other in (
        FIELD + FILE % b"a.jpg" + B + b"\r\n" + END,  # another first file
        FIELD + FILE % b"a.jpg" + A + b"\r\n" + FILE % b"c.png" + C + b"\r\n" + END,  # another second
        FIELD + FILE % b"a.jpg" + A + b"\r\n" + END,  # fewer
    ):
        must_be_refused(await owner.post("/api/v1/datasets/upload", content=other, headers=FORM))
        assert await images(api) == before
    rest = FIELD + whole + FILE % b"c.png" + C + b"\r\n" + END
    again = await owner.post("/api/v1/datasets/upload", content=rest, headers=FORM)
    assert again.status_code == 201
    assert again.json()["dataset_id"] == answer.json()["dataset_id"]
    assert [name for _, name, _ in await images(api)] == ["a", "b", "c"]


class Sending:
    """A request whose second half waits for the test."""

    def __init__(self, client: httpx.AsyncClient, first: bytes, second: bytes) -> None:
        self._first, self._second = first, second
        self.come, self.go_on = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(
            client.post("/api/v1/datasets/upload", content=self._body(), headers=FORM, timeout=60)
        )

    async def _body(self) -> AsyncIterator[bytes]:
        yield self._first
        self.come.set()
        await self.go_on.wait()
        yield self._second


async def one_dataset(api: Api) -> None:
    """Until the first request has made its dataset."""
    await until_true(api, "SELECT EXISTS (SELECT FROM datasets)")


BEGIN = FIELD + FILE % b"a.jpg" + A


async def test_a_retry_that_fails_leaves_the_dataset_of_the_first_which_goes_on(api: Api) -> None:
    owner = await api.login("owner")
    first = Sending(owner, BEGIN, b"\r\n" + END)
    await one_dataset(api)
    retry = await owner.post("/api/v1/datasets/upload", content=BEGIN, headers=FORM)
    assert retry.status_code == 400
    assert retry.json()["code"] == "bad_multipart"
    first.go_on.set()
    answer = await first.task
    assert answer.status_code == 201, answer.text
    assert [name for _, name, _ in await images(api)] == ["a"]


async def test_a_first_request_that_fails_leaves_its_dataset_to_the_retry(api: Api) -> None:
    owner = await api.login("owner")
    first = Sending(owner, BEGIN, b"")
    await one_dataset(api)
    retry = Sending(owner, BEGIN, b"\r\n" + END)
    await until_true(api, "SELECT open_requests = 2 FROM idempotency_keys")
    first.go_on.set()
    assert (await first.task).status_code == 400
    retry.go_on.set()
    answer = await retry.task
    assert answer.status_code == 201, answer.text
    assert [name for _, name, _ in await images(api)] == ["a"]


async def test_two_at_once_that_both_fail_leave_nothing(api: Api) -> None:
    owner = await api.login("owner")
    both = [Sending(owner, BEGIN, b"") for _ in range(2)]
    await one_dataset(api)
    for one in both:
        one.go_on.set()
    assert {(await one.task).status_code for one in both} == {400}
    assert await rows(api, "SELECT id FROM datasets") == []
    assert await rows(api, "SELECT key FROM idempotency_keys") == []


async def test_another_request_at_the_same_moment_is_refused_whoever_is_first(api: Api) -> None:
    owner = await api.login("owner")
    one = Sending(owner, BEGIN, b"\r\n" + END)
    two = Sending(owner, FIELD + FILE % b"other.png" + C, b"\r\n" + END)
    await one_dataset(api)
    one.go_on.set()
    two.go_on.set()
    answers = [await one.task, await two.task]
    assert sorted(answer.status_code for answer in answers) == [201, 422], [answer.text for answer in answers]
    stored = "a" if answers[0].status_code == 201 else "other"
    assert [name for _, name, _ in await images(api)] == [stored]
