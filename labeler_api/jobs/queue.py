"""What PgQueuer is told: the names of its tables, and how to enqueue in a transaction of ours."""

import asyncio
from typing import Any, Self

from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel
from pgqueuer.ports.driver import Driver, NotifyCallback

from labeler_api.db.pool import WriteTransaction


class InTransaction(Driver):
    """The library's view of an open transaction of ours: enough to enqueue in it."""

    def __init__(self, tx: WriteTransaction) -> None:
        self._tx = tx

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        """Run a statement in the transaction."""
        return [dict(row) for row in await self._tx.fetch(query, *args)]

    async def execute(self, query: str, *args: object) -> str:
        """Not needed to enqueue."""
        raise NotImplementedError

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Not needed to enqueue."""
        raise NotImplementedError

    async def notify(self, channel: str, payload: str) -> None:
        """Not needed to enqueue."""
        raise NotImplementedError

    @property
    def shutdown(self) -> asyncio.Event:
        """Not needed to enqueue."""
        raise NotImplementedError

    @property
    def tm(self) -> Any:
        """Not needed to enqueue."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


# Made without the environment, from which the library would take names: FUNCTION, CHANNEL or PGQUEUER_PREFIX must not
# send us to tables that the migrations did not make.
SETTINGS = DBSettings.model_construct(
    prefix="",
    db_schema=None,
    channel=Channel("ch_pgqueuer"),
    function="fn_pgqueuer_changed",
    statistics_table="pgqueuer_statistics",
    queue_status_type="pgqueuer_status",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    trigger="tg_pgqueuer_changed",
    schedules_table="pgqueuer_schedules",
    durability=Durability.durable,
    widen_id=True,
)


def queries(driver: Driver) -> Queries:
    """Make the library's statements for a connection."""
    return Queries(
        driver, QueryBuilderEnvironment(SETTINGS), QueryQueueBuilder(SETTINGS), QuerySchedulerBuilder(SETTINGS)
    )
