"""JSON bodies that are cheap to send and were dear to judge, while another person works."""

import asyncio
import time
from collections.abc import Callable

import httpx
import pytest

from tests.hostile.attacked import Attacked

ATTACKERS = 4
SECONDS = 3.0
START = b'{"email":1.5,"'

ANONYMOUS = {
    "a name that never ends, all of it escapes": lambda size: START + b'\\"' * (size // 2),
    "a number that never ends": lambda size: START + b'a":' + b"9" * size,
    "numbers cut short": lambda size: START + b'a":[' + b"1e" * (size // 2),
    "backslashes": lambda size: START + b"\\" * size,
}


async def _keep_sending(client: httpx.AsyncClient, path: str, body: bytes, answers: set[int]) -> None:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        answer = await client.post(path, content=body, headers={"Content-Type": "application/json"})
        answers.add(answer.status_code)


@pytest.mark.parametrize("shape", ANONYMOUS)
async def test_logging_in_with_a_body_that_is_dear_to_judge(attacked: Attacked, shape: str) -> None:
    """Without a token: 20 KB and 80 KB took 0.8 s and 12 s of the whole process."""
    make: Callable[[int], bytes] = ANONYMOUS[shape]
    answers: set[int] = set()
    async with attacked.bystander(), asyncio.TaskGroup() as group:
        for number in range(ATTACKERS):
            body = make((15_000, 20_000, 80_000, 2_000_000)[number % 4])
            group.create_task(_keep_sending(attacked.client(), "/api/v1/auth/login", body, answers))
    assert answers == {413, 422}


SETTINGS = {
    "numbers with 16 383 digits in PostgreSQL": lambda: b"[" + b"1e-16383," * 40_000 + b"0]",
    "numbers of a double's range": lambda: b"[" + b"1e308," * 10_000 + b"0]",
    "lists": lambda: b"[" + b"[]," * 600_000 + b"0]",
    "a text": lambda: b'"' + b"x" * 1_900_000 + b'"',
}


# Just below the bound on values. At once they took 1.4 s of another person's call, six of them 3 s and more.
MANY = {
    "lists": b"[" + b"[]," * 190_000 + b"0]",
    "depth": b"[" + (b"[" * 25 + b"]" * 25 + b",") * 15_000 + b"0]",
    "exponents": b"[" + b"1e0," * 390_000 + b"0]",
}


@pytest.mark.parametrize("kind", MANY)
@pytest.mark.parametrize("accounts", [["owner"], ["owner", "annotator", "viewer"]], ids=["one", "three"])
async def test_long_bodies_at_once(attacked: Attacked, kind: str, accounts: list[str]) -> None:
    """Their judging threads kept the interpreter's lock, which each step of a database call has to win back."""
    members = {"annotator": "annotator"}
    dataset = await attacked.api.dataset(owner="owner", tasks=["detection"], images=1, members=members)
    body = b'{"settings":{"a":' + MANY[kind] + b"}}"
    until = time.monotonic() + SECONDS
    answers: set[int] = set()

    async def send(client: httpx.AsyncClient) -> None:
        while time.monotonic() < until:
            path = f"/api/v1/projects/{dataset.project_id}"
            answer = await client.patch(path, content=body, headers={"Content-Type": "application/json"})
            answers.add(answer.status_code)

    async with attacked.bystander(), asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(send(attacked.client(accounts[number % len(accounts)])))
    assert 422 in answers
    assert answers <= {403, 404, 422, 503}


@pytest.mark.parametrize("kind", SETTINGS)
async def test_settings_and_attributes_that_are_stored_large(attacked: Attacked, kind: str) -> None:
    """450 KB became an answer of 819 MB for every reader, and a peak of 2.4 GB."""
    dataset = await attacked.api.dataset(owner="owner", tasks=["detection"], images=1)
    owner = attacked.client("owner")
    value = b'{"a":' + SETTINGS[kind]() + b"}"
    box = {"type": "bbox", "bbox": [1, 2, 3, 4]}
    place = {"project_id": dataset.project_id, "image_id": dataset.image_ids[0]}
    draw = {**place, "annotation_type": "bbox", "geometry": box}
    drawn = (await owner.post("/api/v1/annotations", json=draw)).json()["id"]
    kept = {"Content-Type": "application/json"}
    async with attacked.bystander():
        for method, path, name in (
            ("PATCH", f"/projects/{dataset.project_id}", b"settings"),
            ("PATCH", f"/projects/{dataset.project_id}", b"task_config"),
            ("PUT", f"/annotations/{drawn}", b"attributes"),
        ):
            body = b'{"%s":%s}' % (name, value)
            answer = await owner.request(method, f"/api/v1{path}", content=body, headers=kept)
            assert answer.status_code == 422, answer.text
        await asyncio.sleep(1)  # the bystander goes on meanwhile
        read = await owner.get(f"/api/v1/projects/{dataset.project_id}")
        assert len(read.content) < 10_000
