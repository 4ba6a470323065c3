"""One direction of replication: a publication and a slot on one side, a subscription on the other.

Everything that is known about it stands in the two databases, so that any command can be killed and given again, and
can be given from another machine. Slots are made and dropped here, not by the subscription: so a subscription can be
made in a transaction, between databases of one server, and dropped when the other side is away.
"""

import asyncio
import json
from dataclasses import dataclass
from time import monotonic

import asyncpg
import msgspec

from labeler_ops.connecting import Connection
from labeler_ops.database.own_objects import OWN_RELATIONS, literal
from labeler_ops.errors import DatabaseError
from labeler_ops.maintenance import fence

_POLL_SECONDS = 0.05
# A slot is made when every transaction that was open has ended; if it takes longer, one of them hangs.
_SLOT_SECONDS = 120.0
_DROP_SECONDS = 30.0

# Rows of these can be told apart by nothing: an UPDATE or DELETE would be refused as soon as they are published.
WITHOUT_IDENTITY = f"""
    SELECT c.oid::regclass::text AS name, c.relreplident::text AS identity {OWN_RELATIONS}
      AND c.relkind = 'r' AND c.relpersistence = 'p' AND (n.nspname, c.relname) <> ('public', 'maintenance')
      AND (c.relreplident = 'n' OR c.relreplident = 'd'
           AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))
    ORDER BY 1
"""  # noqa: S608 - constants
_IDENTITIES = {"d": "DEFAULT", "n": "NOTHING"}
_CHANGED = "SELECT obj_description(oid, 'pg_publication') FROM pg_publication WHERE pubname = $1"
_SLOT = """
    SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint AS lag,
           pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS kept, wal_status, active_pid
    FROM pg_replication_slots WHERE slot_name = $1
"""
# Slots of single tables that a subscriber leaves when it dies while it copies. If one belonged to another
# subscription, that one would copy its table again.
_DROP_COPIES = """
    SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
    WHERE database = current_database() AND NOT active AND slot_name ~ '^pg_[0-9]+_sync_[0-9]+_[0-9]+$'
"""
_SUBSCRIPTION = """
    SELECT s.subenabled AS enabled, coalesce(t.apply_error_count, 0) AS apply_errors,
           coalesce(t.sync_error_count, 0) AS sync_errors,
           (SELECT count(*) FROM pg_subscription_rel r WHERE r.srsubid = s.oid) AS tables,
           (SELECT count(*) FROM pg_subscription_rel r WHERE r.srsubid = s.oid AND r.srsubstate = 'r') AS copied
    FROM pg_subscription s LEFT JOIN pg_stat_subscription_stats t ON t.subid = s.oid
    WHERE s.subname = $1 AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
# A worker drops its table's slot a moment before it has written that the table is done: a subscriber that crashes
# between the two tries for ever to read that slot.
_WAITING = """
    SELECT r.srrelid::regclass::text AS name, 'pg_' || s.oid || '_sync_' || r.srrelid AS slot
    FROM pg_subscription s JOIN pg_subscription_rel r ON r.srsubid = s.oid
    WHERE r.srsubstate = 'f' AND s.subname = $1
      AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY 1
"""
_COPIES = "SELECT substring(slot_name from '^pg_[0-9]+_sync_[0-9]+') FROM pg_replication_slots"
_REACHED = (
    "SELECT coalesce(confirmed_flush_lsn >= $2::text::pg_lsn, false) FROM pg_replication_slots WHERE slot_name = $1"
)


# A statement that fails is logged with its text; one that succeeds, where the server logs all or the slow ones.
_UNLOGGED = {"log_min_error_statement": "panic", "log_statement": "none", "log_min_duration_statement": "-1"}


class Flow(msgspec.Struct, frozen=True):
    """How a channel stands. `lag` and `kept` are bytes of the log: not applied yet, and not thrown away yet.

    They are None without a slot; `tables` is 0 without a subscription.
    """

    published: bool
    subscribed: bool
    tables: int = 0
    copied: int = 0
    errors: int = 0
    lag: int | None = None
    kept: int | None = None
    slot: str | None = None
    enabled: bool = True

    @property
    def there(self) -> bool:
        """Whether anything of it is left on either side."""
        return self.published or self.subscribed or self.slot is not None

    @property
    def ready(self) -> bool:
        """Whether every table is copied, and changes flow."""
        flows = self.subscribed and self.enabled and self.slot not in {None, "lost"}
        return flows and self.copied == self.tables > 0


@dataclass(frozen=True)
class Channel:
    """`name` is the publication's and the subscription's; `route` is the publisher's URL as the subscriber sees it.

    `called` is what people call the publisher and the subscriber.
    """

    name: str
    publisher: Connection
    subscriber: Connection
    route: str
    called: tuple[str, str]

    async def publish(self) -> None:
        """Publish every table of ours, and keep the log from now on. What is not there yet is made."""
        # First the publication: a slot that begins before it would not find it in its own past.
        await fence.patiently(self.publisher, self._publication, patience=60)
        await self._make_slot()

    async def subscribe(self, *, copy: bool) -> None:
        """Let changes flow, after a copy of every table if it is asked for. Raises DatabaseError."""
        if (await self.flow()).subscribed:
            return
        slot, wanted = await self.slot_name(), len(await fence.tables_of(self.publisher))
        options = f"create_slot = false, slot_name = '{slot}', copy_data = {str(copy).lower()}"
        try:
            async with self.subscriber.transaction():
                await unlogged(self.subscriber)
                await self.subscriber.execute(
                    f"CREATE SUBSCRIPTION {self.name} CONNECTION {literal(self.route)}"
                    f" PUBLICATION {self.name} WITH ({options})"
                )
                if (found := (await self.flow()).tables) != wanted:
                    raise DatabaseError(
                        f"the subscriber found {found} of {wanted} tables: the URL that it was given leads it elsewhere"
                    )
        except asyncpg.PostgresError as error:
            raise DatabaseError(f"the subscription cannot be made: {error}") from error

    async def failed_copies(self) -> list[str]:
        """Name the tables that are copied and wait for a slot that is not there; for a moment that is usual."""
        waiting = await self.subscriber.fetch(_WAITING, self.name)
        slots = {row[0] for row in await self.publisher.fetch(_COPIES)} if waiting else set()
        return [row["name"] for row in waiting if row["slot"] not in slots]

    async def flow(self) -> Flow:
        """Look at both sides."""
        name = await self.slot_name()
        slot = await self.publisher.fetchrow(_SLOT, name)
        subscription = await self.subscriber.fetchrow(_SUBSCRIPTION, self.name)
        return Flow(
            published=await self.publisher.fetchval("SELECT count(*) FROM pg_publication WHERE pubname = $1", self.name)
            > 0,
            subscribed=subscription is not None,
            tables=subscription["tables"] if subscription else 0,
            copied=subscription["copied"] if subscription else 0,
            errors=subscription["apply_errors"] + subscription["sync_errors"] if subscription else 0,
            lag=slot["lag"] if slot else None,
            kept=slot["kept"] if slot else None,
            slot=slot["wal_status"] if slot else None,
            enabled=subscription["enabled"] if subscription else True,
        )

    async def replayed(self, patience: float) -> None:
        """Wait until the subscriber has, on disk, all that was committed on the publisher before this call.

        Raises DatabaseError when it has not within `patience` seconds.
        """
        # A position that our own commit lies behind: the end of the log itself may fall between two of its pages.
        mark = await self.publisher.fetchval("SELECT pg_logical_emit_message(true, 'labeler', 'mark')::text")
        until, name = monotonic() + patience, await self.slot_name()
        while not await self.publisher.fetchval(_REACHED, name, mark):
            if monotonic() > until:
                raise DatabaseError(
                    f"after {patience:.0f} s not everything is applied: {self.describe(await self.flow())}"
                )
            await asyncio.sleep(_POLL_SECONDS)

    def describe(self, flow: Flow) -> str:
        """Say how it stands in one line."""
        if not flow.there:
            return f"{self.name}: none"
        lag = "no slot" if flow.lag is None else f"{flow.lag:,} bytes behind, {flow.kept:,} bytes of the log kept"
        errors = f"; {flow.errors} failures to apply: the subscriber's server log says why" if flow.errors else ""
        lost = "; the slot is lost: stop and start anew" if flow.slot == "lost" else ""
        copied = f"{flow.copied} of {flow.tables} tables copied" if flow.subscribed else "no subscription"
        off = f"; the subscription is disabled: ALTER SUBSCRIPTION {self.name} ENABLE" if not flow.enabled else ""
        return f"{self.name}: {copied}, {lag}{errors}{off}{lost}"

    async def drop(self) -> None:
        """Take everything away, on both sides, and give tables their replica identity back. Safe to repeat."""
        await drop_subscription(self.subscriber, self.name)
        await drop_publication(self.publisher, self.name)

    async def slot_name(self) -> str:
        """Slots are the whole server's, so the database's number is in the name."""
        return await slot_name(self.publisher, self.name)

    async def _publication(self, connection: Connection) -> None:
        if await connection.fetchval("SELECT count(*) FROM pg_publication WHERE pubname = $1", self.name):
            return
        changed = {row["name"]: row["identity"] for row in await connection.fetch(WITHOUT_IDENTITY)}
        for table in changed:
            await connection.execute(f"ALTER TABLE {table} REPLICA IDENTITY FULL")
        tables = ", ".join(await fence.tables_of(connection))
        await connection.execute(
            f"CREATE PUBLICATION {self.name} FOR TABLE {tables} WITH (publish_via_partition_root = true)"
        )
        # What was changed is written down with it, in the same transaction: nothing can come between.
        await connection.execute(f"COMMENT ON PUBLICATION {self.name} IS {literal(json.dumps(changed))}")

    async def _make_slot(self) -> None:
        name, until = await self.slot_name(), monotonic() + _SLOT_SECONDS
        if await self.publisher.fetchrow(_SLOT, name) is None:
            try:
                await self.publisher.execute(
                    "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", name, timeout=_SLOT_SECONDS
                )
            except TimeoutError as error:
                raise DatabaseError(
                    f"a transaction has been open for {_SLOT_SECONDS:.0f} s, and replication can begin only after it: "
                    "end it (see pg_stat_activity)"
                ) from error
            except asyncpg.PostgresError as error:
                raise DatabaseError(f"the slot cannot be made: {error}") from error
        # The slot may be one that a killed command's connection is still making.
        while (slot := await self.publisher.fetchrow(_SLOT, name)) is None or slot["lag"] is None:
            if monotonic() > until:
                raise DatabaseError(f"the slot {name} is not ready after {_SLOT_SECONDS:.0f} s")
            await asyncio.sleep(_POLL_SECONDS)


async def slot_name(publisher: Connection, name: str) -> str:
    """Name the slot of a channel."""
    number = await publisher.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
    return f"{name}_{number}"


async def drop_subscription(subscriber: Connection, name: str) -> None:
    """Drop a subscription and leave the slot alone."""
    if await subscriber.fetchrow(_SUBSCRIPTION, name) is None:
        return
    async with subscriber.transaction():
        await subscriber.execute(f"ALTER SUBSCRIPTION {name} DISABLE")
        await subscriber.execute(f"ALTER SUBSCRIPTION {name} SET (slot_name = NONE)")
        await subscriber.execute(f"DROP SUBSCRIPTION {name}")


async def drop_publication(publisher: Connection, name: str) -> None:
    """Drop a slot, even while it is read, then the publication; tables get their replica identity back."""
    await _drop_slot(publisher, await slot_name(publisher, name))
    await publisher.execute(_DROP_COPIES)

    async def drop(connection: Connection) -> None:
        changed = json.loads(await connection.fetchval(_CHANGED, name) or "{}")
        for table, identity in changed.items():
            if await connection.fetchval("SELECT to_regclass($1)", table) is not None:
                await connection.execute(f"ALTER TABLE {table} REPLICA IDENTITY {_IDENTITIES[identity]}")
        await connection.execute(f"DROP PUBLICATION IF EXISTS {name}")

    await fence.patiently(publisher, drop, patience=60)


async def _drop_slot(publisher: Connection, name: str) -> None:
    until = monotonic() + _DROP_SECONDS
    while (slot := await publisher.fetchrow(_SLOT, name)) is not None:
        try:
            if slot["active_pid"] is not None:
                await publisher.execute("SELECT pg_terminate_backend($1)", slot["active_pid"])
            await publisher.execute("SELECT pg_drop_replication_slot($1)", name)
        except (asyncpg.ObjectInUseError, asyncpg.UndefinedObjectError) as error:
            if monotonic() > until:
                raise DatabaseError(f"the slot {name} is in use and cannot be dropped: {error}") from error
            await asyncio.sleep(_POLL_SECONDS)


async def unlogged(connection: Connection) -> None:
    """Log no statement until the transaction ends, which has to be open: one holds a password.

    Only a superuser may do this, or a role that was granted SET on these parameters. Other roles can only be asked not
    to have a password in the log: see the guide.
    """
    try:
        async with connection.transaction():
            for name, value in _UNLOGGED.items():
                await connection.execute("SELECT set_config($1, $2, true)", name, value)
    except asyncpg.InsufficientPrivilegeError:
        return
