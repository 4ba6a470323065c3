"""Threads for long bodies: few, fair, and never taken for long by one person."""

import asyncio
import threading

import msgspec
import pytest

from labeler_api.errors import Invalid, Unavailable
from labeler_api.http.input.decoding import MOST_VALUES, decode_json
from labeler_api.workers.json_threads import JsonThreads
from tests.fixtures.api import Api
from tests.fixtures.operations import documented

LONG = 10.0


async def test_a_queue_of_one_person_is_not_before_another() -> None:
    judging, go = JsonThreads(threads=2, wait=LONG), threading.Event()
    queue = [asyncio.create_task(judging.run(1, go.wait, LONG)) for _ in range(10)]
    await asyncio.sleep(0)
    assert await judging.run(2, lambda: "at once") == "at once"
    assert not any(task.done() for task in queue)
    go.set()
    assert all(await asyncio.gather(*queue))
    judging.close()


async def test_waiting_ends() -> None:
    judging, go = JsonThreads(threads=1, wait=0.05), threading.Event()
    first = asyncio.create_task(judging.run(1, go.wait, LONG))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await judging.run(2, lambda: None)
    assert refused.value.code == "bodies_busy"
    go.set()
    assert await first
    assert await judging.run(2, lambda: "free") == "free"
    judging.close()


async def test_a_caller_that_left_keeps_its_place_until_the_thread_ends() -> None:
    """Else whoever leaves early has threads without end."""
    judging, go = JsonThreads(threads=2, wait=LONG), threading.Event()
    left = asyncio.create_task(judging.run(1, go.wait, LONG))
    await asyncio.sleep(0.05)
    left.cancel()
    second = asyncio.create_task(judging.run(1, lambda: "after it"))
    await asyncio.sleep(0.05)
    assert not second.done()
    go.set()
    assert await second == "after it"
    with pytest.raises(asyncio.CancelledError):
        await left
    judging.close()


@pytest.mark.parametrize("item", [b"[]", b"{}", b"0", b'""'])
def test_more_values_than_anybody_needs(item: bytes) -> None:
    body = b"[" + (item + b",") * MOST_VALUES + b"0]"
    with pytest.raises(Invalid, match=f"more than {MOST_VALUES} values"):
        decode_json(body, msgspec.json.Decoder(list[object]))


def test_what_an_operation_takes_has_few_enough_values() -> None:
    """A full batch of the shortest points, and a geometry of a megabyte of numbers with one digit."""
    numbers = b'{"geometry":{"a":[' + b"1," * 349_000 + b"1]}}"
    assert decode_json(numbers, msgspec.json.Decoder(dict[str, msgspec.Raw]))
    (batch,) = [one for one in documented() if one.path.endswith("/annotations/batch")]
    assert batch.most_values >= 3 * batch.max_json_bytes // len(b"[1,2],")


async def test_a_batch_with_one_part_that_is_too_large(api: Api) -> None:
    """A long batch is checked in a thread, a short one is not: both say which item it was."""
    dataset = await api.dataset(owner="owner", tasks=["detection"], images=1)
    owner = await api.login("owner")
    place = {"project_id": dataset.project_id, "image_id": dataset.image_ids[0], "annotation_type": "bbox"}
    good = {**place, "geometry": {"type": "bbox", "bbox": [1, 2, 3, 4]}}
    for attributes in ({"a": "x" * 70_000}, {"a": [1e-300] * 300}):
        items = [good, {**good, "attributes": attributes}]
        answer = await owner.post("/api/v1/annotations/batch", json={"annotations": items})
        assert answer.json()["created"] == 1, answer.text
        assert answer.json()["failed"] == 1, answer.text
        assert "takes" in answer.json()["errors"][0]


@pytest.mark.parametrize("value", ["x" * 70_000, [1e-300] * 300], ids=["a long body", "a short body"])
async def test_what_is_stored_too_large_is_refused_everywhere(api: Api, value: object) -> None:
    """As it is sent, and as PostgreSQL writes it: every digit of a number."""
    dataset = await api.dataset(owner="owner", tasks=["detection"], images=1)
    owner = await api.login("owner")
    box: dict[str, object] = {"type": "bbox", "bbox": [1, 2, 3, 4]}
    draw = {
        "project_id": dataset.project_id,
        "image_id": dataset.image_ids[0],
        "annotation_type": "bbox",
        "geometry": box,
    }
    drawn = (await owner.post("/api/v1/annotations", json=draw)).json()["id"]
    answers = [
        await owner.post("/api/v1/annotations", json={**draw, "attributes": {"a": value}}),
        await owner.put(f"/api/v1/annotations/{drawn}", json={"attributes": {"a": value}}),
        await owner.patch(f"/api/v1/projects/{dataset.project_id}", json={"settings": {"a": value}}),
        await owner.patch(f"/api/v1/projects/{dataset.project_id}", json={"task_config": {"a": value}}),
    ]
    large = {**box, "a": [value] * 20}
    answers.append(await owner.post("/api/v1/annotations", json={**draw, "geometry": large}))
    answers.append(await owner.put(f"/api/v1/annotations/{drawn}", json={"geometry": large}))
    for answer in answers:
        assert answer.status_code == 422, answer.text
        assert "as it is stored" in answer.text, answer.text
