"""What a database held at one moment, as numbers and definitions that a restored one can be compared with later.

The move compares two databases that are both there. After a disaster there is only one: so a backup carries what the
comparison needs of the other.
"""

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from labeler_ops.database.verify import sequences, structure, tables
from labeler_ops.database.verify.checksums import Checksum, checksum
from labeler_ops.database.verify.session import Side, opened
from labeler_ops.reporter import Progress, counting, no_progress

CONNECTIONS = 4  # as a comparison's


class Fingerprint(msgspec.Struct):
    """Every table's rows as a checksum, every definition, and how each sequence is defined.

    Where sequences stand is not in a moment: they know no snapshots. `ahead` names those whose next number is taken.
    """

    tables: dict[str, Checksum]
    definitions: dict[str, dict[str, str]]
    sequences: dict[str, str]
    ahead: list[str] = []

    @property
    def rows(self) -> int:
        """How many rows there are in all tables."""
        return sum(one.rows for one in self.tables.values())

    @property
    def digest(self) -> str:
        """One number for all of it."""
        lines = [f"table {name} {one.rows} {one.low} {one.high}" for name, one in sorted(self.tables.items())]
        lines += [f"sequence {name} {text}" for name, text in sorted(self.sequences.items())]
        lines += [
            f"{kind} {name} {text}"
            for kind, found in sorted(self.definitions.items())
            for name, text in sorted(found.items())
        ]
        return sha256("\n".join(lines).encode()).hexdigest()


async def read_fingerprint(url: str, *, as_of: str | None = None, on_progress: Progress = no_progress) -> Fingerprint:
    """Read a database as of now, or of a snapshot that somebody holds. Raises DatabaseError when it cannot be."""
    async with opened("database", url, CONNECTIONS, as_of) as side:
        found = await tables.read(side)
        standing = await sequences.read(side)
        return Fingerprint(
            tables=await _checksums(side, found, on_progress),
            definitions=_plain(await structure.read(side)),
            sequences={name: one.definition for name, one in standing.items()},
            ahead=[
                f"sequence {name} would give {one.following}, and {one.used_to} is taken already"
                for name, one in standing.items()
                if not one.is_free
            ],
        )


async def _checksums(side: Side, found: list[tables.Table], on_progress: Progress) -> dict[str, Checksum]:
    tell = counting(on_progress, sum(table.pages for table in found))
    # One after the other: each is spread over the connections, and the largest decides in any case.
    return {table.title: await checksum(side, table, tell) for table in found}


def _plain(definitions: structure.Definitions) -> dict[str, dict[str, str]]:
    return {kind: dict(found) for kind, found in definitions.items()}


def differences(then: Fingerprint, now: Fingerprint) -> list[str]:
    """Say in sentences what a restored database has otherwise than the backup."""
    lines = [
        str(one)
        .replace("on the source", "in the backup")
        .replace("on the target", "as restored")
        .replace("source:", "")
        for one in structure.differences(then.definitions, now.definitions)
    ]
    lines += _named("sequence", then.sequences, now.sequences)
    return (
        lines + _named("table", _counted(then), _counted(now)) + [text for text in now.ahead if text not in then.ahead]
    )


def _counted(side: Fingerprint) -> Mapping[str, str]:
    return {name: f"{one.rows} rows, sum {one.low} {one.high}" for name, one in side.tables.items()}


def _named(kind: str, then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [
        f"{kind} {name}: {then.get(name, 'none')} in the backup, {now.get(name, 'none')} as restored"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
