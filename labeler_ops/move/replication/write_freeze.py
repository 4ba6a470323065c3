"""The seconds without writes: one side is stopped, and the other is proved to be the same."""

import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from labeler_ops.backup import dumps
from labeler_ops.database.verify.equality import DatabaseComparison, compare_databases
from labeler_ops.errors import DatabaseError
from labeler_ops.maintenance import fence
from labeler_ops.move import write_downtime
from labeler_ops.move.move_report import COMPARISON
from labeler_ops.move.replication import initial_copy
from labeler_ops.move.replication.channel import Channel
from labeler_ops.move.replication.database_pair import Urls
from labeler_ops.reporter import Reporter
from labeler_ops.runs import Run

_CATCH_UP_SECONDS = 60.0


@dataclass(frozen=True)
class WriteFreeze:
    """Stops and compares the sides of a run, which keeps when writing was stopped."""

    run: Run
    urls: Urls
    reporter: Reporter

    async def make(
        self, channel: Channel, left: str, *, rows: bool, was_open: bool = True
    ) -> DatabaseComparison | None:
        """Stop writing on one side and prove that the other is the same.

        On any doubt users may write there on as before, if they could.
        """
        try:
            if not (flow := await channel.flow()).ready:
                raise DatabaseError(f"it does not flow: {channel.describe(flow)}")
            # The long part of it while everybody still writes.
            await channel.replayed(_CATCH_UP_SECONDS)
            await initial_copy.require_same(self.urls.source, self.urls.target, with_sequences=False)
            write_downtime.begin(self.run)
            stands = await fence.on(left, reason=fence.MOVED, by=getpass.getuser())
            self.reporter.line(f"nothing can be written: {stands.tables} tables are fenced")
            await channel.replayed(_CATCH_UP_SECONDS)
            count = await initial_copy.copy_sequences(channel.publisher, channel.subscriber)
            self.reporter.line(f"the last change has arrived; {count} sequences are set")
            if rows:
                return await self.compare()
            await initial_copy.require_same(self.urls.source, self.urls.target, with_sequences=True)
        except BaseException:
            # Stopped by this command, or by one that was killed.
            if was_open and write_downtime.stopped_since(self.run) is not None:
                await fence.off(left, by=getpass.getuser())
                write_downtime.end(self.run)
                self.reporter.line("users can write on as before")
            raise
        return None

    async def compare(self, moment: tuple[str, str] | None = None) -> DatabaseComparison:
        """Compare every row and definition, of the moment given or of now. Raises DatabaseError."""
        as_of, target_as_of = moment or (None, None)
        report = await compare_databases(
            self.urls.source, self.urls.target, progress=self.reporter.progress, as_of=as_of, target_as_of=target_as_of
        )
        self.run.write(COMPARISON, report)
        self.reporter.show(report)
        if not report.same:
            raise DatabaseError(f"the two sides are not the same: {'; '.join(report.lines()[:3])}")
        return report

    @asynccontextmanager
    async def moment(self) -> AsyncIterator[tuple[str, str]]:
        """Hold both sides as they are now, where nobody writes, to be compared when somebody does."""
        async with dumps.snapshot(self.urls.source) as ours, dumps.snapshot(self.urls.target) as theirs:
            yield ours, theirs
