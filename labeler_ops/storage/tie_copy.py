"""The tie to the Labeler DB on its way from one store to another: the target's buckets name it, too.

What the tie is stands in labeler_api.object_store.bucket_ownership. It is no object like the others:
`labeler storage init` may have tied the target's empty buckets already, at another time. What counts is that both sides
name the same database.
"""

from contextlib import aclosing

import msgspec

from labeler_api.object_store.bucket_ownership import KEY, PROBE_PREFIX, TieObject
from labeler_ops.storage.access import StorageError
from labeler_ops.storage.listing import pages
from labeler_ops.storage.object_findings import ObjectFindings
from labeler_ops.storage.s3 import ObjectGone, Read, Store
from labeler_ops.storage.store_variables import BUCKETS, bucket_of

_NOBODY = "a database that cannot be read from it"


async def copy_ties(source: Store, target: Store) -> None:
    """Tie the target's buckets to the database of the source's, where they name none.

    Raises StorageError, with nothing written, when one of them has objects and names another one: it is not ours to
    copy to. An empty one that names another one is taken: some API has tied it at its first start, and lacks nothing.
    """
    lacking: list[tuple[str, Read]] = []
    for role in BUCKETS:
        given, there = await _tie(source, role), await _tie(target, role)
        if given is None:
            continue
        if there is None or (_name(given) != _name(there) and await _is_empty(target, role)):
            lacking.append((bucket_of(target.access, role), given))
        elif _name(given) != _name(there):
            bucket = bucket_of(target.access, role)
            raise StorageError(
                f"the bucket {bucket} of {target.access.endpoint} belongs to {_name(there)}, and the source to "
                f"{_name(given)}: is it the right target? If it is, remove {KEY} from the bucket, and copy again"
            )
    for bucket, given in lacking:
        await target.put(bucket, KEY, given)


async def _is_empty(store: Store, role: str) -> bool:
    async with aclosing(pages(store, bucket_of(store.access, role))) as listed:
        async for page in listed:
            if any(not key.startswith((KEY, PROBE_PREFIX)) for key, *_ in page):
                return False
    return True


async def compare_ties(source: Store, target: Store, findings: ObjectFindings) -> None:
    """Note each bucket of the target that does not name the database that the source's names."""
    for role in BUCKETS:
        given, there = await _tie(source, role), await _tie(target, role)
        if given is not None and (there is None or _name(given) != _name(there)):
            names = _name(there) if there is not None else "no database"
            findings.add("tie", role, KEY, f"{_name(given)} on the source, {names} on the target")


async def _tie(store: Store, role: str) -> Read | None:
    try:
        return await store.fetch(bucket_of(store.access, role), KEY)
    except ObjectGone:
        return None


def _name(read: Read) -> str:
    try:
        return str(msgspec.json.decode(read.body, type=TieObject).id)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _NOBODY
