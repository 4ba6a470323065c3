"""Take away what replication leaves on the servers: a slot that is forgotten fills a disk."""

from contextlib import AsyncExitStack

from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.move.replication.channel import drop_publication, drop_subscription
from labeler_ops.move.replication.sides import BACK, FORTH, SideAway, Urls, side
from labeler_ops.reporter import Reporter


async def drop_everything(urls: Urls, voice: Reporter) -> list[str]:
    """Drop both channels, or what is on one side while the other is away; which are. Raises DatabaseRefused if both."""
    away = []
    async with AsyncExitStack() as stack:
        for called, url, subscription, publication in (
            ("target", urls.target, FORTH, BACK),
            ("source", urls.source, BACK, FORTH),
        ):
            try:
                connection = await side(stack, called, url)
            except SideAway as error:
                away.append(called)
                text = "`labeler move rollback --leftovers` when it is back: a slot that is left there fills its disk"
                voice.line(f"{error}. {text}")
                continue
            await drop_subscription(connection, subscription)
            await drop_publication(connection, publication)
    if len(away) == 2:  # noqa: PLR2004 - both
        raise DatabaseRefused("neither database can be reached: nothing was dropped")
    return away
