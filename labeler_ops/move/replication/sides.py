"""The two databases of a replication, connected, and the channels between them in both directions."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.move.replication.channel import Channel, Connection
from labeler_ops.move.replication.preconditions import Way
from labeler_ops.move.rows.preflight import connected
from labeler_ops.runs import place

# What the publication, the subscription and, with the database's number, the slot are called.
FORTH = "labeler_move"
BACK = "labeler_back"


class SideAway(DatabaseRefused):
    """One of the databases cannot be connected to."""


@dataclass(frozen=True)
class Urls:
    """Where the databases are, for this tool and, where that differs, for the other database's server."""

    source: str
    target: str
    source_seen: str | None = None
    target_seen: str | None = None

    @property
    def places(self) -> dict[str, str]:
        """Both by host, port and name: what a run is known by."""
        return {"source": place(self.source), "target": place(self.target)}

    @property
    def seen(self) -> list[str | None]:
        """Where each server finds the other, without passwords."""
        return [place(url) if url else None for url in (self.source_seen, self.target_seen)]


@dataclass(frozen=True)
class Sides:
    """Both, connected."""

    source: Connection
    target: Connection
    urls: Urls

    @property
    def forth(self) -> Channel:
        """From the source to the target."""
        return Channel(FORTH, self.source, self.target, self.urls.source_seen or self.urls.source)

    @property
    def back(self) -> Channel:
        """From the target to the source, once the target is written to."""
        return Channel(BACK, self.target, self.source, self.urls.target_seen or self.urls.target)

    @property
    def ways(self) -> tuple[Way, Way]:
        """Both directions, to be looked at."""
        return (
            Way(self.source, self.target, ("source", "target"), self.forth.route),
            Way(self.target, self.source, ("target", "source"), self.back.route),
        )


@asynccontextmanager
async def opened(urls: Urls) -> AsyncIterator[Sides]:
    """Connect to both. Raises SideAway."""
    async with AsyncExitStack() as stack:
        source = await side(stack, "source", urls.source)
        target = await side(stack, "target", urls.target)
        yield Sides(source, target, urls)


async def side(stack: AsyncExitStack, called: str, url: str) -> Connection:
    """Connect to one. Raises SideAway."""
    try:
        connection = await connected(called, url)
    except DatabaseRefused as error:
        raise SideAway(str(error)) from error
    stack.push_async_callback(connection.close, timeout=5)
    # Making a slot waits for transactions as for locks, and has a limit of its own.
    await connection.execute(
        "SET lock_timeout = 0; SET statement_timeout = 0; SET application_name = 'labeler replicate'"
    )
    return connection
