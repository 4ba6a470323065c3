"""The seconds without writes: one side is stopped, and the other is proved to be the same."""

import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from labeler_ops.backup import dumps
from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.move.report import COMPARISON
from labeler_ops.database.replication import schema
from labeler_ops.database.replication.channel import Channel
from labeler_ops.database.replication.sides import Urls
from labeler_ops.database.verify.run import verify
from labeler_ops.maintenance import fence
from labeler_ops.runs import Run
from labeler_ops.voice import Voice

_CATCH_UP_SECONDS = 60.0
_NOTED = "write-stop"


@dataclass(frozen=True)
class StandStill:
    """Stops and compares the sides of a run, which keeps when writing was stopped."""

    run: Run
    urls: Urls
    voice: Voice

    async def make(self, channel: Channel, left: str, *, rows: bool, was_open: bool = True) -> None:
        """Stop writing on one side and prove that the other is the same.

        On any doubt users may write there on as before, if they could.
        """
        try:
            if not (flow := await channel.flow()).ready:
                raise DatabaseRefused(f"it does not flow: {channel.said(flow)}")
            # The long part of it while everybody still writes.
            await channel.replayed(_CATCH_UP_SECONDS)
            await schema.require_same(self.urls.source, self.urls.target, with_sequences=False)
            self.run.note(_NOTED, begins=True)
            stands = await fence.on(left, reason=fence.MOVED, by=getpass.getuser())
            self.voice.line(f"nothing can be written: {stands.tables} tables are fenced")
            await channel.replayed(_CATCH_UP_SECONDS)
            count = await schema.copy_sequences(channel.publisher, channel.subscriber)
            self.voice.line(f"the last change has arrived; {count} sequences are set")
            if rows:
                await self.compare()
            else:
                await schema.require_same(self.urls.source, self.urls.target, with_sequences=True)
        except BaseException:
            if was_open and self._stopped_since() is not None:  # by this command, or by one that was killed
                await fence.off(left, by=getpass.getuser())
                self.run.note(_NOTED, begins=False)
                self.voice.line("users can write on as before")
            raise

    async def compare(self, moment: tuple[str, str] | None = None) -> None:
        """Compare every row and definition, of the moment given or of now. Raises DatabaseRefused."""
        as_of, target_as_of = moment or (None, None)
        report = await verify(
            self.urls.source, self.urls.target, progress=self.voice.progress, as_of=as_of, target_as_of=target_as_of
        )
        self.run.write(COMPARISON, report)
        self.voice.show(report)
        if not report.same:
            raise DatabaseRefused(f"the two sides are not the same: {'; '.join(report.lines()[:3])}")

    @asynccontextmanager
    async def moment(self, *, wanted: bool) -> AsyncIterator[tuple[str, str] | None]:
        """Hold both sides as they are now, where nobody writes, to be compared when somebody does."""
        if not wanted:
            yield None
            return
        async with dumps.snapshot(self.urls.source) as ours, dumps.snapshot(self.urls.target) as theirs:
            yield ours, theirs

    def over(self) -> float | None:
        """Note that somebody can write again; how many seconds nobody could."""
        began = self._stopped_since()
        self.run.note(_NOTED, begins=False)
        if began is None:
            return None
        seconds = round((datetime.now(UTC) - datetime.fromisoformat(began)).total_seconds(), 3)
        self.voice.line(f"{seconds:.1f} s without writes")
        return seconds

    def _stopped_since(self) -> str | None:
        """When writing was stopped, if it was: a command that was killed and given again began that more than once."""
        began = None
        for event in self.run.events:
            if event.phase == _NOTED:
                began = (began or event.at) if event.facts["begins"] else None
        return began
