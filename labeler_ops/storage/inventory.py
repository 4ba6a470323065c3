"""What is where: both listings and the database's references in one SQLite file, so that memory stays flat.

Every command makes the file again; what a run must remember is in its manifest.
"""

import asyncio
import sqlite3
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from labeler_api.object_store.bucket_ownership import KEY, PROBE_PREFIX
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.listing import pages
from labeler_ops.storage.manifest import CopiedObject
from labeler_ops.storage.object_findings import ObjectFindings, StoreComparison
from labeler_ops.storage.references import references
from labeler_ops.storage.s3 import Store, is_md5
from labeler_ops.storage.store_variables import BUCKETS, bucket_of

_LISTING = "(bucket TEXT, key TEXT, size INT, etag TEXT, modified TEXT, PRIMARY KEY (bucket, key)) WITHOUT ROWID"
_SCHEMA = f"""
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE source {_LISTING};
    CREATE TABLE target {_LISTING};
    CREATE TABLE wanted (bucket TEXT, key TEXT, origin TEXT, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
    CREATE TABLE copied (bucket TEXT, key TEXT, size INT, sha256 TEXT, source_etag TEXT, source_modified TEXT,
        target_etag TEXT, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
    CREATE TABLE digest (bucket TEXT, key TEXT, source TEXT, target TEXT, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
"""
_PAIRS = """
    SELECT bucket, key, s.size, s.etag, s.modified, t.size, t.etag,
        c.size, c.source_etag, c.source_modified, c.target_etag
    FROM source s LEFT JOIN target t USING (bucket, key) LEFT JOIN copied c USING (bucket, key)
    ORDER BY s.size DESC, bucket, key
"""
_LOST = """
    SELECT bucket, key, origin FROM wanted w
    WHERE origin <> '' AND NOT EXISTS (SELECT 1 FROM source s WHERE s.bucket = w.bucket AND s.key = w.key) ORDER BY 1, 2
"""
_EXTRA = "SELECT bucket, key FROM target EXCEPT SELECT bucket, key FROM source ORDER BY 1, 2"
_ORPHANS = "SELECT bucket, key FROM source EXCEPT SELECT bucket, key FROM wanted ORDER BY 1, 2"
# What only one side has, and the other under a name that some file systems take for the same.
_TWINS = """
    SELECT s.bucket, s.key, t.key FROM
        (SELECT bucket, key, folded(key) AS name FROM source EXCEPT SELECT bucket, key, folded(key) FROM target) s
        JOIN (SELECT bucket, key, folded(key) AS name FROM target EXCEPT SELECT bucket, key, folded(key) FROM source) t
        USING (bucket, name)
"""
_ELSEWHERE = """
    SELECT d.bucket, d.key, e.bucket, e.key FROM digest d JOIN digest e ON e.source = d.target
    WHERE d.source <> d.target ORDER BY 1, 2
"""
_NOT_MOVED = (PROBE_PREFIX, KEY)  # what `init` and `check` put for a moment; the tie is carried by itself (tie_copy.py)
_KEY_BYTES = 1024  # S3's and R2's limit


@dataclass(frozen=True, slots=True)
class Pair:
    """An object of the source, and what the target has under its key (None: nothing). Sizes in bytes."""

    bucket: str
    key: str
    size: int
    etag: str
    modified: str
    target_size: int | None
    target_etag: str | None
    copied_size: int | None = None
    copied_etag: str | None = None
    copied_modified: str | None = None
    copied_target_etag: str | None = None

    @property
    def done(self) -> bool:
        """Whether it was copied, and neither side has changed since."""
        then = (self.copied_etag, self.copied_size, self.copied_size)
        same_time = self.copied_modified in {"", self.modified}
        return self.ours and same_time and then == (self.etag, self.size, self.target_size)

    @property
    def ours(self) -> bool:
        """Whether what the target has is what this run wrote there, and may be written over."""
        return self.target_etag is not None and self.target_etag == self.copied_target_etag

    @property
    def plainly_unlike(self) -> str:
        """Why the listings alone say that the two differ; empty when they do not say so."""
        if self.size != self.target_size:
            return f"{self.size:,} bytes on the source, {self.target_size:,} on the target"
        if is_md5(self.etag) and is_md5(self.target_etag or "") and self.etag != self.target_etag:
            return f"MD5 {self.etag} on the source, {self.target_etag} on the target"
        return ""


class Inventory:
    """Both listings and the references."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._database = sqlite3.connect(path)
        self._database.create_function("folded", 1, _folded, deterministic=True)
        self._database.executescript(_SCHEMA)

    @classmethod
    async def take(
        cls,
        path: Path,
        source: StorageAccess,
        target: StorageAccess,
        dsn: str | None,
        on_progress: Callable[[int, int], None],
    ) -> Self:
        """Read the database, then list both stores side by side; `on_progress` hears of more objects, and of no bytes.

        In this order, since an upload puts its object before its row: uploads meanwhile lose nothing.
        """
        self = cls(path)
        if dsn is not None:
            await self._read(dsn)

        async def listing(table: str, access: StorageAccess) -> None:
            async with Store.open(access, 1) as store:
                for role in BUCKETS:
                    async for page in pages(store, bucket_of(access, role)):
                        self._database.executemany(
                            f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?, ?)",  # noqa: S608 - names of our own
                            ((role, *entry) for entry in page if not entry[0].startswith(_NOT_MOVED)),
                        )
                        on_progress(len(page), 0)

        async with asyncio.TaskGroup() as group:
            group.create_task(listing("source", source))
            group.create_task(listing("target", target))
        return self

    async def _read(self, dsn: str) -> None:
        async for row in references(dsn):
            self._database.execute("INSERT OR IGNORE INTO wanted VALUES (?, ?, ?)", row)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def pairs(self) -> Iterator[Pair]:
        """Yield every object of the source, the largest first: one at the end would keep everybody waiting."""
        for row in self._database.execute(_PAIRS):
            yield Pair(*row)

    def count_into(self, report: StoreComparison, *, with_database: bool) -> None:
        """Write the totals into a report."""
        totals = "SELECT count(*), coalesce(sum(size), 0) FROM "
        report.source_objects, report.source_bytes = self._one(totals + "source")
        report.target_objects, report.target_bytes = self._one(totals + "target")
        report.referenced = self._one("SELECT count(*) FROM wanted WHERE origin <> ''")[0] if with_database else None

    def remember(self, copied: Iterable[CopiedObject]) -> None:
        """Take over what a manifest says; the last line of an object counts."""
        rows = ((e.bucket, e.key, e.size, e.sha256, e.source_etag, e.source_modified, e.target_etag) for e in copied)
        self._database.executemany("INSERT OR REPLACE INTO copied VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def note_digests(self, pair: Pair, source: str, target: str) -> None:
        """Keep what both sides' bytes digest to."""
        self._database.execute("INSERT INTO digest VALUES (?, ?, ?, ?)", (pair.bucket, pair.key, source, target))

    def digest(self) -> str:
        """Digest the digests of the source's objects, in the order of the keys."""
        total = sha256()
        for row in self._database.execute("SELECT bucket, key, source FROM digest ORDER BY bucket, key"):
            total.update("\0".join(row).encode() + b"\n")
        return total.hexdigest()

    def found_elsewhere(self) -> Iterator[tuple[str, str, str]]:
        """Yield (bucket, key, where the source has the bytes that the target has there), of what differs."""
        for bucket, key, other_bucket, other_key in self._database.execute(_ELSEWHERE):
            yield bucket, key, f"{other_bucket}/{other_key}"

    def twins(self) -> dict[tuple[str, str], str]:
        """Give (bucket, key) of what the target lacks and has under a key of another case or composition, and that."""
        return {(bucket, key): other for bucket, key, other in self._database.execute(_TWINS)}

    def lost(self, findings: ObjectFindings) -> None:
        """Note what the database refers to and the source does not have."""
        for bucket, key, origin in self._database.execute(_LOST):
            findings.add("lost", bucket, key, f"{origin} refers to it")

    def extras(self, findings: ObjectFindings, kind: str = "extra") -> None:
        """Note what only the target has."""
        for bucket, key in self._database.execute(_EXTRA):
            findings.add(kind, bucket, key)

    def orphans(self, findings: ObjectFindings) -> None:
        """Note what no row refers to: exports of projects, backups, and what a crash left."""
        for bucket, key in self._database.execute(_ORPHANS):
            findings.add("orphan", bucket, key)

    def compare(self, findings: ObjectFindings) -> None:
        """Note what the listings alone say of every object of the source."""
        for pair in self.pairs():
            if pair.target_size is None:
                findings.add("missing", pair.bucket, pair.key)
            elif text := pair.plainly_unlike:
                findings.add("differs", pair.bucket, pair.key, text)

    def odd_keys(self, findings: ObjectFindings) -> None:
        """Note keys that another store may refuse, change, or take for another key."""
        composed: dict[str, str] = {}
        for bucket, key in self._database.execute("SELECT bucket, key FROM source ORDER BY 1, 2"):
            if text := oddity(key):
                findings.add("key", bucket, key, text)
            if not key.isascii():
                twin = composed.setdefault(f"{bucket}/{unicodedata.normalize('NFC', key)}", key)
                if twin != key:
                    findings.add("key", bucket, key, "reads like another key, composed differently (NFC, NFD)")

    def _one(self, sql: str) -> Any:
        return self._database.execute(sql).fetchone()


def _folded(key: str) -> str:
    return unicodedata.normalize("NFC", key).casefold()


def oddity(key: str) -> str:
    """Say what is odd about a key; empty when nothing is."""
    if len(key.encode()) > _KEY_BYTES:
        return f"longer than {_KEY_BYTES:,} bytes"
    if key.startswith("/") or key.endswith("/") or "//" in key:
        return "an empty name between or beside slashes"
    if {".", ".."} & set(key.split("/")):
        return "a name of dots alone"
    if any(unicodedata.category(character) == "Cc" for character in key):
        return "a control character"
    return ""
