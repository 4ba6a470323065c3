"""Every row of a dataset as JSON lines: `{"table": …, "row": …}`, after a first line that says what follows."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping

import msgspec

from labeler_api.db.pool import Snapshot
from labeler_api.deletion.backup import store
from labeler_api.migrations import HEAD


async def row_lines(snapshot: Snapshot, dataset_id: str, head: Mapping[str, object]) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a backup, the tables in an order in which they can be put back."""
    yield msgspec.json.encode({"format": "labeler-backup-1", "schema": HEAD, **head}) + b"\n"
    for table in store.TABLES:
        begin = b'{"table":"' + table.encode() + b'","row":'
        async for row in store.rows(snapshot, table, dataset_id):
            yield begin + row.encode() + b"}\n"


class Lines:
    """Counts the lines of each table in what is read back."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            if line.startswith(b'{"table":"') and line.endswith(b"}"):
                self.counts[line.split(b'"', 4)[3].decode()] += 1
