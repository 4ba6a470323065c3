"""The tie between the Labeler DB and its two buckets: without it, nothing that deletes objects runs.

Rows decide whether an object is still needed. An empty or a wrong database needs none of the objects. So each bucket
holds a small object that names its database, and every deletion reads it again first. `labeler storage init` writes it,
and so does the API's first start on empty buckets. `labeler storage adopt` ties buckets that have objects. A move takes
the tie along: the id is in a table, the object is in the bucket.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec
import structlog

from labeler_api.db.pool import Database
from labeler_api.errors import AppError, NotFound, Unavailable
from labeler_api.object_store.objects import ObjectStore
from labeler_api.telemetry.metrics import Metrics

KEY = ".labeler/database.json"
PROBE_PREFIX = ".labeler-probe/"  # what `init` and `check` put for a moment is nobody's

_MAX_BYTES = 64 * 1024  # ours has some 150; whatever is larger was written by something else
_FIRST_SECONDS = 3.0  # what the start waits for the store and the database; later tries are made beside the requests
_RETRY_SECONDS = (0.5, 30.0)  # the first wait, doubled up to the last: a store that is starting is there in seconds
_IDENTITY = "SELECT id, current_database() AS name FROM labeler_identity"

_NO_ID = "The Labeler DB has no id"

State = Literal["tied", "missing", "other", "unreadable"]

log = structlog.get_logger("labeler_api.object_store.bucket_ownership")


class Identity(msgspec.Struct, frozen=True):
    """A Labeler DB: its id, which a move takes along, and its name, for people."""

    id: UUID
    name: str


class TieObject(msgspec.Struct, frozen=True):
    """What lies in a bucket: the database that the bucket belongs to, and since when."""

    id: UUID
    database: str
    written_at: datetime


class OwnershipStatus(msgspec.Struct, frozen=True):
    """What a bucket says. `text` is a sentence about it."""

    bucket: str
    state: State
    text: str
    tie: TieObject | None = None


class BucketOwnership:
    """Knows both sides. As the guard of an ObjectStore it is asked before every deletion."""

    def __init__(self, db: Database, objects: ObjectStore, buckets: Sequence[str], metrics: Metrics) -> None:
        self._db, self._objects, self._buckets, self._metrics = db, objects, tuple(buckets), metrics

    async def identity(self) -> Identity:
        """Read the database's id. Raises Unavailable when there is none, or no database."""
        try:
            async with self._db.read() as connection:
                row = await connection.fetchrow(_IDENTITY)
        except asyncpg.UndefinedTableError as error:
            raise Unavailable(f"{_NO_ID}: `labeler db upgrade` gives it one.", code="not_tied") from error
        if row is None:
            raise Unavailable(f"{_NO_ID}: its table labeler_identity is empty.", code="not_tied")
        return Identity(row["id"], row["name"])

    async def require(self, bucket: str) -> None:
        """Raise Unavailable (`not_tied`) unless objects of the bucket may be deleted; one statement, one small GET."""
        try:
            look = await self.look(bucket, await self.identity())
        except Exception as error:
            self._metrics.deletion_refused("unreadable")
            if isinstance(error, AppError):
                raise
            raise Unavailable(f"Nothing is deleted: the id of the Labeler DB cannot be read: {error!r}") from error
        if look.state != "tied":
            self._metrics.deletion_refused(look.state)
            log.error("no object is deleted", bucket=bucket, state=look.state, reason=look.text)
            raise Unavailable(f"Nothing is deleted in the bucket {bucket}: {look.text}", code="not_tied")

    async def look(self, bucket: str, identity: Identity) -> OwnershipStatus:
        """Read what a bucket says. Raises Unavailable for a store that is away."""
        try:
            async with self._objects.open(bucket, KEY) as stream:
                if stream.length > _MAX_BYTES:
                    return OwnershipStatus(
                        bucket, "unreadable", f"{KEY} in it has {stream.length:,} bytes, so it is not ours."
                    )
                content = await stream.read()
        except NotFound:
            return OwnershipStatus(
                bucket, "missing", f"it has no {KEY}. `labeler storage adopt` ties it to its database."
            )
        return _judged(bucket, content, identity)

    async def tie_empty(self) -> list[OwnershipStatus]:
        """Tie the buckets that are not tied yet, if they are empty. Return the state of each.

        Both must be empty or ours: if one bucket belongs to another database, the empty one is left to it as well. If
        two databases begin on the same buckets at once, the first bucket decides, so that neither gets one of each.
        """
        await self._objects.ping()  # some stores make a bucket of any name that is written to
        identity = await self.identity()
        looks = [await self.look(bucket, identity) for bucket in self._buckets]
        for look in looks:
            if look.state != "tied" and (look.state != "missing" or not await self._is_empty(look.bucket)):
                return looks
        for look in looks:
            if look.state == "missing":
                await self._objects.put_new(look.bucket, KEY, _written(identity), "application/json")
                if (await self.look(look.bucket, identity)).state != "tied":
                    break  # another database was first
                log.info("tied an empty bucket to this database", bucket=look.bucket, id=str(identity.id))
        return [await self.look(bucket, identity) for bucket in self._buckets]

    async def adopt(self, *, whatever_they_say: bool = False) -> list[OwnershipStatus]:
        """Tie both buckets where they name nobody; else, too, for somebody who has looked at both sides."""
        await self._objects.ping()
        identity = await self.identity()
        for bucket in self._buckets:
            state = (await self.look(bucket, identity)).state
            if state == "missing" or (whatever_they_say and state != "tied"):
                await self._objects.put(bucket, KEY, _written(identity), "application/json")
        return [await self.look(bucket, identity) for bucket in self._buckets]

    @asynccontextmanager
    async def begun(self) -> AsyncIterator[None]:
        """Tie empty buckets, at once where that is possible, else as soon as it is, for as long as the block lasts."""
        try:
            async with asyncio.timeout(_FIRST_SECONDS):
                settled = await self._settled()
        except TimeoutError:
            settled = False
        task = None if settled else asyncio.create_task(self._settle(), name="tie")
        try:
            yield
        finally:
            if task is not None:
                task.cancel()
                await asyncio.wait({task})

    async def _settle(self) -> None:
        wait, longest = _RETRY_SECONDS
        while not await self._settled():
            await asyncio.sleep(wait)
            wait = min(wait * 2, longest)

    async def _settled(self) -> bool:
        """Whether the ties of all buckets were read; False when a bucket or the database cannot be asked."""
        try:
            looks = await self.tie_empty()
        except Exception as error:  # no start depends on it: a schema that is not there yet, a store that is away
            log.warning("the tie of the buckets cannot be read yet", reason=" ".join(str(error).split())[:300])
            return False
        for look in looks:
            if look.state != "tied":
                log.error("deletion stands still", bucket=look.bucket, state=look.state, reason=look.text)
        return True

    async def _is_empty(self, bucket: str) -> bool:
        async for entry in self._objects.list(bucket, ""):
            if not entry.key.startswith(PROBE_PREFIX) and entry.key != KEY:
                return False
        return True


def _written(identity: Identity) -> bytes:
    return msgspec.json.encode(TieObject(identity.id, identity.name, datetime.now(UTC)))


def _judged(bucket: str, content: bytes, identity: Identity) -> OwnershipStatus:
    try:
        tie = msgspec.json.decode(content, type=TieObject)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return OwnershipStatus(
            bucket, "unreadable", f"{KEY} in it cannot be read. `labeler storage adopt` writes it anew."
        )
    when = f"{tie.written_at:%Y-%m-%d %H:%M} UTC"
    if tie.id == identity.id:
        return OwnershipStatus(bucket, "tied", f"it belongs to this database since {when}.", tie)
    there, here = f"{tie.database} ({tie.id})", f"{identity.name} ({identity.id})"
    return OwnershipStatus(bucket, "other", f"it belongs to the database {there} since {when}, and not to {here}.", tie)
