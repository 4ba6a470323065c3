"""The record next to a backup: what it consists of, what it held, and when it was last proven."""

import re
import secrets
from datetime import UTC, datetime
from typing import Literal

import msgspec

from labeler_ops.database.roles import Database
from labeler_ops.errors import DatabaseError

RECORD = "backup.json"
"""Written last: what has none is not a backup, but what an attempt left behind."""
PROOF = "verified.json"
CONTENTS = "contents.json"
INVENTORY = "objects.jsonl.gz"
DUMP = "dump/"
FORMAT = 1

_ID = re.compile(r"(\d{8}T\d{6}Z)-(labeler|users|platform)-[0-9a-f]{6}")


class FileDigest(msgspec.Struct, frozen=True):
    """One file of a backup; `size` in bytes."""

    size: int
    sha256: str


class InventorySummary(msgspec.Struct, frozen=True):
    """The inventory of the object store: how many objects, how many bytes."""

    store: str
    objects: int
    bytes: int


class BackupRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A backup. `digest` is of everything that the database held at that moment; times are in UTC, sizes in bytes."""

    id: str
    database: Database
    source: str
    created_at: datetime
    seconds: float
    server: int
    revision: str | None
    encoding: str
    collate: str
    ctype: str
    database_bytes: int
    rows: int
    digest: str
    files: dict[str, FileDigest]
    objects: InventorySummary | None = None
    format: int = FORMAT

    @property
    def bytes(self) -> int:
        """How much it takes where it is kept."""
        return sum(piece.size for piece in self.files.values())


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """When a backup was last proven. `bytes`: every file has its hash; `restored`: it was restored, and was equal."""

    at: datetime
    how: Literal["bytes", "restored"]
    digest: str
    seconds: float


class StoredBackup(msgspec.Struct, frozen=True):
    """A backup where it is kept, with its last proof of either kind, if any."""

    record: BackupRecord
    proof: Proof | None = None

    @property
    def restored(self) -> bool:
        """Whether it was once restored and found equal."""
        return self.proof is not None and self.proof.how == "restored"


def new_id(database: Database, at: datetime) -> str:
    """Name a backup; in the order of the names is in the order of time."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{database}-{secrets.token_hex(3)}"


def is_id(name: str) -> bool:
    """Whether a name is one of ours."""
    return _ID.fullmatch(name) is not None


def begun_at(backup_id: str) -> datetime:
    """When the attempt of an id was begun."""
    return datetime.strptime(backup_id.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def decoded(content: bytes, backup_id: str) -> BackupRecord:
    """Read a record. Raises DatabaseError when it is damaged, or of a version that is not known."""
    try:
        record = msgspec.json.decode(content, type=BackupRecord)
    except msgspec.MsgspecError as error:
        raise DatabaseError(f"{RECORD} of the backup {backup_id} is damaged: {error}") from error
    if record.id != backup_id or record.format != FORMAT:
        raise DatabaseError(f"{RECORD} of the backup {backup_id} says {record.id}, format {record.format}")
    return record
