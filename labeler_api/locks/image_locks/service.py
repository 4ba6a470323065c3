"""Image locks: who works on an image. How long one lives: `lease.py`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from labeler_api.context import Call
from labeler_api.db.pool import Row
from labeler_api.errors import ImageBeingImported, Locked, NotFound, RetryTransaction
from labeler_api.locks.image_locks import store
from labeler_api.locks.image_locks.lease import LEASE_SECONDS
from labeler_api.locks.image_locks.schemas import (
    AcquireResponse,
    ForceResponse,
    HeartbeatResponse,
    LockInfo,
    LockListResponse,
    ReleaseResponse,
    lock_info,
)
from labeler_api.members.authorization.service import (
    Access,
    access_held,
    access_of,
    authorize,
    roles_from,
    system_admin_allowed,
)
from labeler_api.members.policy import ProjectLock, Role
from labeler_api.text.names import quoted


async def acquire(call: Call, project: str, image_id: str) -> AcquireResponse:
    """Take the image, or say who has it. Raises NotFound for an image that the dataset does not have."""
    # The role is held: a removed member loses their locks, and must not get this one right after.
    async with call.db.single() as tx:
        row = await store.acquire(
            tx,
            project,
            call.user_id,
            roles_from(Role.ANNOTATOR),
            image_id,
            LEASE_SECONDS,
            bypass_role_check=system_admin_allowed(call, Role.ANNOTATOR),
        )
    access_held(row, call, Role.ANNOTATOR)
    assert row is not None  # noqa: S101 - it was just judged
    is_taken = row["outcome"] in {"locked", "importing"}
    if not is_taken:
        check_claimed(row, image_id)
    lock = row["lock"]
    info = await _named(call, lock)
    if is_taken:
        return AcquireResponse(status="already_locked", lock=None, locked_by=info)
    refreshed = lock["locked_at"] != lock["heartbeat_at"]
    return AcquireResponse(status="refreshed" if refreshed else "acquired", lock=info, locked_by=None)


async def release(call: Call, project: str, image_id: str) -> ReleaseResponse:
    """Give the image back."""
    access = await _access(call, project, Role.ANNOTATOR)
    async with call.db.single() as tx:
        status = await store.release(tx, access.require_project_id(), image_id, call.user_id)
    return ReleaseResponse(status=status)  # type: ignore[arg-type] # the SQL knows these words only


async def heartbeat(call: Call, project: str, image_id: str) -> HeartbeatResponse:
    """Go on holding the image. An expired lock is lost, and has to be acquired again."""
    access = await _access(call, project, Role.ANNOTATOR)
    async with call.db.single() as tx:
        row = await store.heartbeat(tx, access.require_project_id(), image_id, call.user_id, LEASE_SECONDS)
    if row["image_id"] is None:
        return HeartbeatResponse(status="not_owner" if row["is_held_by_other"] else "not_locked", lock=None)
    return HeartbeatResponse(status="updated", lock=await _named(call, row))


async def page(call: Call, project: str) -> LockListResponse:
    """List the live locks of a project."""
    async with call.db.read() as connection:
        found = await store.page(connection, project, call.user_id)
    access_of(found[0] if found else None, call, Role.VIEWER).require_project_id()
    rows = [row for row in found if row["image_id"] is not None]
    users = await call.directory.get_many({row["user_id"] for row in rows}, timeout=call.remaining_seconds)
    return LockListResponse(locks=[lock_info(row, users) for row in rows])


async def status(call: Call, project: str, image_id: str) -> LockInfo | None:
    """Say who holds an image, or None."""
    async with call.db.read() as connection:
        row = await store.find(connection, project, call.user_id, image_id)
    access_of(row, call, Role.VIEWER).require_project_id()
    return await _named(call, row) if row is not None and row["image_id"] is not None else None


async def force(call: Call, project: str, image_id: str) -> ForceResponse:
    """Free an image, whoever holds it."""
    access = await _access(call, project, Role.ADMIN)
    async with call.db.single() as tx:
        released = await store.force(tx, access.require_project_id(), image_id)
    return ForceResponse(status="released" if released else "not_locked")


async def _access(call: Call, project: str, minimum: Role) -> Access:
    async with call.db.read() as connection:
        return await authorize(connection, call, project, minimum, ProjectLock.NONE)


def check_claimed(row: Row, image_id: str) -> None:
    """Raise why a function of the database that begins with `claim_image_1` has not claimed the image."""
    if row["outcome"] in {"missing", "locked", "importing"}:
        raise refusal(row["outcome"], row["lock"], image_id)
    if row["outcome"] == "changed":
        raise _collided()


def refusal(outcome: str, lock: Row, image_id: str) -> NotFound | Locked:
    """Say why the caller may not write to an image: a word of `claim_image_1`, and the lock that it came with."""
    if outcome == "missing":
        return image_not_found(image_id)
    return (importing if outcome == "importing" else image_locked)(lock_info(lock, {}))


def refusal_text(outcome: str, image: str, holder: str | None = None) -> str:
    """Say the same as a sentence alone; `image` is its quoted id.

    An exception for each of ten thousand images would hold the event loop.
    """
    if outcome == "missing":
        return f"The dataset has no image {image}."
    if outcome == "importing":
        return f"An import of {holder or 'Somebody'} is at work on the image {image}. Try again when it is done."
    return f"{holder or 'Somebody else'} is working on the image {image}. Try again when it is free."


@asynccontextmanager
async def naming_the_holder(call: Call) -> AsyncIterator[None]:
    """Put the holder's name into a `Locked` that leaves the block; goes around the transaction, not into it."""
    try:
        yield
    except Locked as error:
        lock = error.extra.get("lock")
        if not isinstance(lock, LockInfo):
            raise
        users = await call.directory.get_many({lock.user_id}, timeout=call.remaining_seconds)
        if user := users.get(lock.user_id):
            lock.user_name, lock.user_email = user.full_name, user.email
        raise (importing if isinstance(error, ImageBeingImported) else image_locked)(lock) from None


def _collided() -> RetryTransaction:
    return RetryTransaction("Several people opened this image at the same moment. Try again.", retry_after=1)


def image_not_found(image_id: str) -> NotFound:
    """The answer for an image that is not in the project's dataset."""
    return NotFound(refusal_text("missing", quoted(image_id)), code="image_not_found")


def image_locked(lock: LockInfo) -> Locked:
    """The answer to a write on an image that somebody else holds."""
    return Locked(refusal_text("locked", quoted(lock.image_id), lock.user_name), lock=lock)


def importing(lock: LockInfo) -> ImageBeingImported:
    """The answer to a write on an image that an import works on."""
    return ImageBeingImported(refusal_text("importing", quoted(lock.image_id), lock.user_name), lock=lock)


async def _named(call: Call, row: Row) -> LockInfo:
    users = await call.directory.get_many({row["user_id"]}, timeout=call.remaining_seconds)
    return lock_info(row, users)
