"""Pictures that cost much and say little, from people who stay and from people who leave."""

import asyncio
import io
import time

import httpx
import psutil
from PIL import Image

from tests.fixtures.hostile_pictures import SCANS, progressive_bomb
from tests.fixtures.pictures import picture
from tests.fixtures.timing import check_within
from tests.hostile.attacked import Attacked, memory

ATTACKERS = 8


def form(*files: tuple[str, bytes], cut: bool = False) -> bytes:
    head = '--x\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n'
    body = b"".join((head % name).encode() + content + b"\r\n" for name, content in files)
    return body if cut else body + b"--x--\r\n"


async def send(client: httpx.AsyncClient, dataset_id: str, *files: tuple[str, bytes]) -> httpx.Response:
    return await client.post(
        f"/api/v1/datasets/{dataset_id}/images",
        content=form(*files),
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )


async def warm(attacked: Attacked, dataset_id: str, account: str = "owner") -> None:
    """Have the processes and the connections that so many uploads at once need: starting them is no attack."""
    client = attacked.client(account)
    for _ in range(2):
        await asyncio.gather(*(send(client, dataset_id, (f"{n}.jpg", picture())) for n in range(ATTACKERS)))


async def send_and_leave(attacked: Attacked, dataset_id: str, body: bytes, seconds: float) -> None:
    """Send part of a form, wait for the work on it to begin, and go."""
    url = httpx.URL(attacked.url)
    _, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        f"POST /api/v1/datasets/{dataset_id}/images HTTP/1.1\r\nHost: api.test\r\n"
        f"Authorization: Bearer {attacked.token('owner')}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {len(body) + 1000}\r\n\r\n".encode()
        + body
    )
    await writer.drain()
    await asyncio.sleep(seconds)
    writer.transport.abort()


async def test_a_progressive_bomb_is_refused_before_it_is_decoded(attacked: Attacked) -> None:
    dataset = await attacked.api.dataset()
    bomb = progressive_bomb(3000, 4000, SCANS)
    client = attacked.client("owner")
    await warm(attacked, dataset.id)
    before = computed(attacked.pid)
    async with attacked.bystander():
        answers = await asyncio.gather(
            *(send(client, dataset.id, (f"{number}.jpg", bomb), ("a.jpg", picture())) for number in range(ATTACKERS))
        )
    for answer in answers:
        assert answer.json()["images_uploaded"] == 1, answer.text
        assert "more than 64 scans" in answer.json()["failed"][0]["reason"]
    # One of them takes 8 seconds of computing to decode.
    assert computed(attacked.pid) - before < ATTACKERS


async def test_pictures_of_clients_that_left_keep_nobody_waiting(attacked: Attacked) -> None:
    """Bombs below the limit of scans, each some seconds of work, from eight clients that leave at once."""
    dataset = await attacked.api.dataset()
    theirs = await attacked.api.dataset(owner="reviewer")
    bomb = progressive_bomb(10_000, 10_000, 60)
    body = form(*((f"{number}.jpg", bomb) for number in range(6)), cut=True)
    other = attacked.client("reviewer")
    await warm(attacked, theirs.id, "reviewer")
    async with attacked.bystander("annotator"):
        leaving = [asyncio.create_task(send_and_leave(attacked, dataset.id, body, 1.5)) for _ in range(ATTACKERS)]
        await asyncio.sleep(1.0)
        started = time.monotonic()
        answer = await send(other, theirs.id, ("while.jpg", picture()))
        while_seconds = time.monotonic() - started
        await asyncio.gather(*leaving)
        started = time.monotonic()
        again = await send(other, theirs.id, *((f"{number}.jpg", picture()) for number in range(20)))
        after_seconds = time.monotonic() - started
    assert answer.json()["images_uploaded"] == 1
    assert again.json()["images_uploaded"] == 20
    # Decoding all that was sent takes some four minutes of computing.
    check_within(while_seconds, 20)
    check_within(after_seconds, 20)


async def test_a_large_picture_is_taken_in_bounded_memory(attacked: Attacked) -> None:
    """What a camera of 350 megapixels makes; in full it would be 1.3 GiB."""
    dataset = await attacked.api.dataset()
    image = Image.new("RGB", (20_000, 17_500), (30, 60, 90))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=50)
    del image
    async with attacked.bystander():
        answer = await send(attacked.client("owner"), dataset.id, ("large.jpg", out.getvalue()))
    [taken] = answer.json()["images"]
    assert taken["width"] == 20_000
    assert taken["height"] == 17_500
    assert max(peaks(attacked.pid)) < 256 * 2**20


def workers(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def computed(pid: int) -> float:
    """Seconds of computing of the processes that decode."""
    times = [worker.cpu_times() for worker in workers(pid)]
    return sum(each.user + each.system for each in times)


def peaks(pid: int) -> list[int]:
    """The most that each of them had in memory, in bytes."""
    return [memory(worker.pid, "VmHWM") for worker in workers(pid)]
