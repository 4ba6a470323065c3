"""Nothing is deleted in buckets that do not name this database; empty ones are tied, and of two databases one wins."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from labeler_api.errors import NotFound, Unavailable
from labeler_api.object_store.bucket_ownership import KEY, PROBE_PREFIX, BucketOwnership
from labeler_api.object_store.objects import UnfinishedUpload
from labeler_api.settings import Settings
from labeler_api.telemetry.instruments import Instruments
from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.stack.ports import free_port
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.bucket_tie import OpenedTie, open_tie
from tests.fixtures.buckets import own_buckets
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.tied_store import give_new_id
from tests.fixtures.waiting import until

LARGE = (
    b'{"id": "00000000-0000-0000-0000-000000000000", "database": "", "written_at": "2026-11-29T00:00:00Z"}'
    + b" " * 70_000
)
VICTIM = "datasets/ds_1/images/a.jpg"


@dataclass(frozen=True)
class Pair:
    """A database and two buckets of the test's own, which nobody has tied."""

    settings: Settings

    @property
    def buckets(self) -> tuple[str, str]:
        return self.settings.buckets

    @asynccontextmanager
    async def opened(self, **changes: str) -> AsyncIterator[OpenedTie]:
        async with AsyncExitStack() as stack:
            given = {name: getattr(self.settings, name) for name in self.settings.__struct_fields__}
            yield await open_tie(Settings(**given | changes), stack)


@pytest.fixture
def pair(tied_store: StorageAccess, labeler_dsn: str) -> Pair:
    return Pair(
        Settings(
            labeler_db_url=labeler_dsn,
            s3_endpoint=tied_store.endpoint,
            s3_access_key=tied_store.access_key,
            s3_secret_key=tied_store.secret_key,
            s3_bucket_datasets=tied_store.datasets_bucket,
            s3_bucket_annotations=tied_store.annotations_bucket,
        )
    )


async def states(tie: BucketOwnership, buckets: tuple[str, str]) -> list[str]:
    identity = await tie.identity()
    return [(await tie.look(bucket, identity)).state for bucket in buckets]


def refused(instruments: Instruments, state: str) -> float:
    name = "labeler_object_deletions_refused_total"
    return instruments.metrics.registry.get_sample_value(name, {"state": state}) or 0.0


async def require_kept(sides: OpenedTie, bucket: str, state: str) -> None:
    """Try both ways of deleting; neither may take anything away."""
    await sides.objects.put(bucket, VICTIM, b"bytes", "image/jpeg")
    before = refused(sides.instruments, state)
    with pytest.raises(Unavailable):
        await sides.objects.delete_many(bucket, [VICTIM])
    with pytest.raises(Unavailable):
        await sides.objects.give_up(bucket, UnfinishedUpload(VICTIM, "an id", datetime.now(UTC)))
    assert (await sides.objects.head(bucket, VICTIM)).size == 5
    assert refused(sides.instruments, state) == before + 2


async def test_empty_buckets_are_tied_and_then_objects_can_be_deleted(pair: Pair) -> None:
    async with pair.opened() as sides:
        await require_kept(sides, pair.buckets[0], "missing")
    async with pair.opened() as sides:
        await sides.objects.put(pair.buckets[0], VICTIM, b"bytes", "image/jpeg")
        assert [look.state for look in await sides.tie.tie_empty()] == ["missing", "missing"]
        await sides.tie.adopt()
        await sides.objects.delete_many(pair.buckets[0], [VICTIM])
        with pytest.raises(NotFound):
            await sides.objects.head(pair.buckets[0], VICTIM)


async def test_the_first_start_ties_what_is_empty_or_holds_a_probe_alone(pair: Pair) -> None:
    async with pair.opened() as sides:
        await sides.objects.put(pair.buckets[1], PROBE_PREFIX + "1", b"probe", "text/plain")
        async with sides.tie.begun():
            assert await states(sides.tie, pair.buckets) == ["tied", "tied"]
        assert [look.state for look in await sides.tie.tie_empty()] == ["tied", "tied"]


@pytest.mark.parametrize("full", [0, 1])
async def test_a_bucket_beside_one_with_objects_is_not_taken(pair: Pair, full: int) -> None:
    async with pair.opened() as sides:
        await sides.objects.put(pair.buckets[full], "datasets/of somebody", b"", "text/plain")
        await sides.tie.tie_empty()
        assert await states(sides.tie, pair.buckets) == ["missing", "missing"]


async def test_a_start_that_was_killed_between_the_two_is_finished_by_the_next(pair: Pair) -> None:
    async with pair.opened() as sides:
        await sides.tie.tie_empty()
        await sides.objects.put(pair.buckets[0], VICTIM, b"", "image/jpeg")
        await sides.objects.delete_many(pair.buckets[1], [KEY])
        assert await states(sides.tie, pair.buckets) == ["tied", "missing"]
        assert [look.state for look in await sides.tie.tie_empty()] == ["tied", "tied"]


async def test_another_database_deletes_nothing_and_ties_nothing(pair: Pair) -> None:
    async with pair.opened() as sides:
        await sides.tie.tie_empty()
        await give_new_id(pair.settings.labeler_db_url)
        await require_kept(sides, pair.buckets[0], "other")
        await require_kept(sides, pair.buckets[1], "other")
        assert [look.state for look in await sides.tie.tie_empty()] == ["other", "other"]
        look = await sides.tie.look(pair.buckets[0], await sides.tie.identity())
        assert "belongs to the database test_" in look.text


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"id": "1"}', b"\xff\xfe", b"x" * 70_000, LARGE])
async def test_what_cannot_be_read_ties_nothing(pair: Pair, content: bytes) -> None:
    async with pair.opened() as sides:
        await sides.objects.put(pair.buckets[0], KEY, content, "application/json")
        await require_kept(sides, pair.buckets[0], "unreadable")
        await sides.tie.tie_empty()
        assert await states(sides.tie, pair.buckets) == ["unreadable", "missing"]


@pytest.mark.parametrize("damage", ["DELETE FROM labeler_identity", "DROP TABLE labeler_identity"])
async def test_a_database_without_an_id_deletes_nothing(pair: Pair, damage: str) -> None:
    async with pair.opened() as sides:
        await sides.tie.tie_empty()
        connection = await asyncpg.connect(pair.settings.labeler_db_url)
        await connection.execute(damage)
        await connection.close()
        await require_kept(sides, pair.buckets[0], "unreadable")


async def test_a_database_that_is_away_deletes_nothing(pair: Pair) -> None:
    async with pair.opened() as sides:
        await sides.tie.tie_empty()
    async with pair.opened(labeler_db_url=f"postgresql://nobody@127.0.0.1:{free_port()}/nothing") as sides:
        await require_kept(sides, pair.buckets[0], "unreadable")


async def test_the_tie_is_read_anew_before_every_thousand(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    async with pair.opened() as sides:
        await sides.tie.tie_empty()
        bucket, keys = pair.buckets[0], [f"datasets/ds_1/{number:04d}" for number in range(1001)]
        await sides.objects.put(bucket, keys[0], b"", "text/plain")
        await sides.objects.put(bucket, keys[-1], b"", "text/plain")
        real, require = sides.tie.require, asked_then(sides, bucket)
        monkeypatch.setattr(sides.tie, "require", require(real))
        with pytest.raises(Unavailable, match=KEY):
            await sides.objects.delete_many(bucket, keys)
        assert [entry.key async for entry in sides.objects.list(bucket, "datasets/")] == [keys[-1]]


def asked_then(sides: OpenedTie, bucket: str) -> Callable[..., Callable[..., object]]:
    """Take the tie away right after the first look at it, as somebody else might."""

    def wrap(real: Callable[[str], object]) -> Callable[..., object]:
        async def require(name: str) -> None:
            await real(name)  # type: ignore[misc]
            await sides.objects._client.delete_object(Bucket=bucket, Key=KEY)

        return require

    return wrap


async def test_of_databases_that_begin_at_once_one_has_both_buckets(
    pair: Pair, create_database: DatabaseFactory, labeler_template: str
) -> None:
    dsns = [await create_database(labeler_template) for _ in range(4)]
    for dsn in dsns:
        await give_new_id(dsn)
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(pair.opened(labeler_db_url=dsn)) for dsn in dsns * 2]
        looks = await asyncio.gather(*(sides.tie.tie_empty() for sides in opened))
        found = [await states(sides.tie, pair.buckets) for sides in opened]
    assert len(looks) == 8
    assert sorted(map(tuple, found)) == [("other", "other")] * 6 + [("tied", "tied")] * 2


async def test_a_tie_that_another_database_writes_meanwhile_is_not_written_over(
    pair: Pair, create_database: DatabaseFactory, labeler_template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the empty buckets and the writing."""
    other = await create_database(labeler_template)
    await give_new_id(other)
    async with pair.opened() as slow, pair.opened(labeler_db_url=other) as quick:
        is_empty = slow.tie._is_empty

        async def then_be_late(bucket: str) -> bool:
            empty = await is_empty(bucket)
            await quick.tie.tie_empty()
            return empty

        monkeypatch.setattr(slow.tie, "_is_empty", then_be_late)
        await slow.tie.tie_empty()
        assert await states(quick.tie, pair.buckets) == ["tied", "tied"]
        assert await states(slow.tie, pair.buckets) == ["other", "other"]


async def test_a_store_that_comes_later_is_tied_then(pair: Pair, object_store: SeaweedServer) -> None:
    """The buckets are made after the API has started, as `labeler up` and docker compose may do."""
    access = replace(object_store.access, datasets_bucket=f"late-{uuid4()}", annotations_bucket=f"later-{uuid4()}")
    names = {"s3_bucket_datasets": access.datasets_bucket, "s3_bucket_annotations": access.annotations_bucket}
    async with pair.opened(**names) as sides, sides.tie.begun():
        await asyncio.sleep(0.1)

        async def tied() -> bool:
            return await states(sides.tie, access.buckets) == ["tied", "tied"]

        async with own_buckets(access):
            await until(tied)
