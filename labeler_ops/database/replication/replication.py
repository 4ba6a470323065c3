"""A move by logical replication in phases of a run: start, switch, then back again or stop.

`start` copies while everybody goes on writing. `switch` stops writing on the source, waits for the last change,
compares and opens the target. From then on, what is written on the target flows back to the source, so that `reverse`
is a switch as short as the first. The same command goes on where one that was killed was.
"""

import asyncio
import getpass
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, TypeAlias

import asyncpg
import msgspec

from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.move import backup, clients
from labeler_ops.database.move.migration import Voice
from labeler_ops.database.replication import preconditions, schema
from labeler_ops.database.replication.channel import Channel, drop_publication, drop_subscription
from labeler_ops.database.replication.sides import BACK, FORTH, Sides, Urls, opened, side
from labeler_ops.database.verify.run import verify
from labeler_ops.maintenance import fence
from labeler_ops.runs import Run

KIND = "replicate"
REASON = "The database is being moved."

_POLL_SECONDS = 0.2
_CATCH_UP_SECONDS = 60.0
_FAILURES = 5
_STUCK_SECONDS = 120.0  # the servers try again every five seconds
_OURS_AT_WORK = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE application_name = 'labeler move' AND datname = current_database()
"""

Step: TypeAlias = Callable[[Sides, dict[str, Any]], Awaitable[None]]


def find(root: Path, urls: Urls) -> Run | None:
    """Find the run of these two databases that is not over."""
    for directory in sorted(root.glob(f"*-{KIND}-*"), reverse=True):
        run = Run.resume(root, directory.name)
        if run.facts.items() >= urls.places.items() and not any(run.ended(end) for end in ("stop", "give-back")):
            return run
    return None


class Replication:
    """One move of one database. `reverse` keeps the source up with the target after the switch."""

    def __init__(self, run: Run, urls: Urls, voice: Voice, *, variable: str = "LABELER_DB_URL") -> None:
        self.run, self.urls, self.voice, self.variable = run, urls, voice, variable
        self.reverse_wanted = bool(run.facts["reverse"])

    @classmethod
    def begin(cls, root: Path, urls: Urls, voice: Voice, *, reverse: bool = True) -> "Replication":
        """Go on with the run of these databases, or start one."""
        run = find(root, urls) or Run.start(root, KIND, {**urls.places, "reverse": reverse})
        return cls(run, urls, voice)

    async def start(self) -> None:
        """Make the target's tables, copy them, and follow the source. Raises DatabaseRefused at the first doubt."""
        async with opened(self.urls) as sides:
            await self._do(sides, self._preflight, self._schema, self._publish, self._subscribe, self._copying)

    async def switch(self, *, compare_after: bool = False) -> None:
        """Stop writing on the source, and open the target once it is the same; rows are compared before or after that.

        Raises DatabaseRefused, and lets users write on the source as before, on any doubt before the target is open.
        """
        if self.run.ended("copying") is None:
            raise DatabaseRefused("the target is not a copy yet: `labeler db replicate start` first")

        async def stand_still(sides: Sides, facts: dict[str, Any]) -> None:
            facts["compare_after"] = compare_after
            await self._stand_still(sides.forth, self.urls.source, rows=not compare_after)

        async with opened(self.urls) as sides:
            await self._do(sides, stand_still)
            later = (self.run.ended("stand-still") or {})["compare_after"]
            async with self._moment(later and self.run.ended("open") is None) as moment:
                await self._do(sides, self._turn, self._open)
                if moment:
                    with self.run.phase("prove"):
                        await self._compare(moment)
        if later and self.run.ended("prove") is None:
            raise DatabaseRefused("the comparison was cut off, and that moment is gone: `reverse` compares everything")

    async def reverse(self) -> None:
        """Go back to the source with everything that was written on the target."""
        if self.run.ended("open") is None:
            raise DatabaseRefused("the target was not opened yet: `labeler db replicate stop` gives the move up")
        if not self.reverse_wanted:
            raise DatabaseRefused("nothing flows back (--no-reverse): move the target to an empty database instead")

        async def go_back(sides: Sides, _: dict[str, Any]) -> None:
            await self._stand_still(sides.back, self.urls.target, rows=True)

        async with opened(self.urls) as sides:
            await self._do(sides, go_back, self._give_back)

    async def stop(self) -> None:
        """Take everything away: before the switch that gives the move up, after it the way back."""
        for phase, command in (("open", "switch"), ("go-back", "reverse")):
            last = next((event.event for event in reversed(self.run.events) if event.phase == phase), None)
            if last == "started" or (last, phase) == ("ended", "go-back"):
                raise DatabaseRefused(f"`{command}` was cut off while it changed sides: give it again first")
        with self.run.phase("stop"):
            away = await drop_everything(self.urls, self.voice)
            if "source" not in away:
                await fence.off(self.urls.source, by=getpass.getuser())

    async def _do(self, sides: Sides, *steps: Step) -> None:
        for step in steps:
            name = step.__name__.strip("_").replace("_", "-")
            if self.run.ended(name) is not None:
                self.voice.line(f"{name}: done already")
                continue
            self.voice.line(name)
            with self.run.phase(name) as facts:
                try:
                    await step(sides, facts)
                except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                    raise DatabaseRefused(f"{name}: {error or type(error).__name__}") from error

    async def _preflight(self, sides: Sides, facts: dict[str, Any]) -> None:
        findings = await preconditions.look_at_schema(sides.source, sides.target)
        for way in sides.ways if self.reverse_wanted else sides.ways[:1]:
            findings += await preconditions.look(way)
        self.voice.findings(findings)
        facts["findings"] = msgspec.to_builtins(findings)
        if refused := [f"{finding.name}: {finding.text}" for finding in findings if finding.verdict == "refused"]:
            raise DatabaseRefused("\n".join(refused))

    async def _schema(self, sides: Sides, _: dict[str, Any]) -> None:
        # A restore outlives its killed caller. It is one transaction: its tables are all there, or none.
        await sides.target.fetch(_OURS_AT_WORK)
        if not await fence.tables_of(sides.target):
            tools = clients.find(sides.target.get_server_version().major)
            await schema.copy_definitions(tools, self.urls.source, self.urls.target, self.run.path("schema.dump"))
        await schema.require_same(self.urls.source, self.urls.target, with_sequences=False)
        # An API that is deployed too early refuses writes; the fence is the source's, replication fills the target.
        if await sides.target.fetchval("SELECT to_regclass('public.maintenance')") is not None:
            await sides.target.execute(fence.SWITCH, "on", REASON, getpass.getuser())

    async def _publish(self, sides: Sides, _: dict[str, Any]) -> None:
        await sides.forth.publish()

    async def _subscribe(self, sides: Sides, _: dict[str, Any]) -> None:
        await sides.forth.subscribe(copy=True)

    async def _copying(self, sides: Sides, facts: dict[str, Any]) -> None:
        flow = await sides.forth.flow()
        best, since = flow, monotonic()
        while not flow.ready:
            self.voice.progress(flow.copied, flow.tables)
            if flow.copied > best.copied:
                best, since = flow, monotonic()
            # Servers try again by themselves, and on a busy source they have to: only what stays is a reason to stop.
            stuck = flow.errors - best.errors >= _FAILURES and monotonic() - since > _STUCK_SECONDS
            if stuck or not flow.subscribed or flow.slot in {None, "lost"}:
                raise DatabaseRefused(sides.forth.said(flow))
            await asyncio.sleep(_POLL_SECONDS)
            flow = await sides.forth.flow()
        await sides.target.execute("ANALYZE")
        facts["tables"] = flow.tables
        self.voice.line(sides.forth.said(flow))

    async def _stand_still(self, channel: Channel, left: str, *, rows: bool) -> None:
        """Stop writing on one side and prove that the other is the same; on any doubt users may write on as before."""
        try:
            if not (flow := await channel.flow()).ready:
                raise DatabaseRefused(f"it does not flow: {channel.said(flow)}")
            # The long part of it while everybody still writes.
            await channel.replayed(_CATCH_UP_SECONDS)
            await schema.require_same(self.urls.source, self.urls.target, with_sequences=False)
            self.run.note("write-stop", begins=True)
            await fence.on(left, reason=REASON, by=getpass.getuser())
            await channel.replayed(_CATCH_UP_SECONDS)
            await schema.copy_sequences(channel.publisher, channel.subscriber)
            if rows:
                await self._compare()
            else:
                await schema.require_same(self.urls.source, self.urls.target, with_sequences=True)
        except BaseException:
            if self._stopped_since() is not None:  # by this command, or by one that was killed
                await fence.off(left, by=getpass.getuser())
                self.run.note("write-stop", begins=False)
            raise

    async def _turn(self, sides: Sides, _: dict[str, Any]) -> None:
        await self._require_fence(self.urls.source)
        if self.reverse_wanted:
            # The slot is there before anybody writes on the target, and the old subscription is gone before the new
            # one applies anything: no change is missed, and none goes round in a circle.
            await sides.back.publish()
        await sides.forth.drop()
        if self.reverse_wanted:
            await sides.back.subscribe(copy=False)

    async def _open(self, _: Sides, facts: dict[str, Any]) -> None:
        await self._require_fence(self.urls.source)
        await fence.off(self.urls.target, by=getpass.getuser())
        self._write_environment("environment.new", self.urls.target)
        self._say_seconds(facts, "target")

    async def _give_back(self, sides: Sides, facts: dict[str, Any]) -> None:
        await self._require_fence(self.urls.target)
        await sides.back.drop()
        await fence.off(self.urls.source, by=getpass.getuser())
        self._write_environment("environment.rollback", self.urls.source)
        self._say_seconds(facts, "source")

    async def _compare(self, moment: tuple[str, str] | None = None) -> None:
        as_of, target_as_of = moment or (None, None)
        report = await verify(
            self.urls.source, self.urls.target, progress=self.voice.progress, as_of=as_of, target_as_of=target_as_of
        )
        self.run.write("report.json", report)
        self.voice.report(report)
        if not report.same:
            raise DatabaseRefused(f"the two sides are not the same: {'; '.join(report.lines()[:3])}")

    @asynccontextmanager
    async def _moment(self, wanted: bool) -> AsyncIterator[tuple[str, str] | None]:
        """Hold both sides as they are now, where nobody writes, to be compared when somebody does."""
        if not wanted:
            yield None
            return
        async with backup.snapshot(self.urls.source) as ours, backup.snapshot(self.urls.target) as theirs:
            yield ours, theirs

    async def _require_fence(self, url: str) -> None:
        if not (await fence.status(url)).stands:
            raise DatabaseRefused(
                "the fence of the side that is left has been taken down, and somebody may have written there since: "
                "`labeler db replicate stop`, and start anew with an empty target"
            )

    def _say_seconds(self, facts: dict[str, Any], serving: str) -> None:
        began = self._stopped_since()
        self.run.note("write-stop", begins=False)
        if began is not None:
            seconds = (datetime.now(UTC) - datetime.fromisoformat(began)).total_seconds()
            facts["seconds_without_writes"] = round(seconds, 3)
            self.voice.line(f"{seconds:.1f} s without writes")
        self.voice.line(f"the {serving} can be written to: set {self.variable} to it on every service, and deploy")

    def _stopped_since(self) -> str | None:
        """When writing was stopped, if it was: a command that was killed and given again began that more than once."""
        began = None
        for event in self.run.events:
            if event.phase == "write-stop":
                began = (began or event.at) if event.facts["begins"] else None
        return began

    def _write_environment(self, name: str, url: str) -> None:
        path = self.run.path(name)
        path.touch(mode=0o600)
        path.write_text(f"{self.variable}={json.dumps(url)}\n")


async def drop_everything(urls: Urls, voice: Voice) -> list[str]:
    """Drop both channels, or what is on one side while the other is away; which are. Raises DatabaseRefused if both."""
    away = []
    async with AsyncExitStack() as stack:
        for called, url, subscription, publication in (
            ("target", urls.target, FORTH, BACK),
            ("source", urls.source, BACK, FORTH),
        ):
            try:
                connection = await side(stack, called, url)
            except DatabaseRefused as error:
                away.append(called)
                voice.line(f"{error}. Give `stop` again when it is back; a slot that is left there fills its disk")
                continue
            await drop_subscription(connection, subscription)
            await drop_publication(connection, publication)
    if len(away) == 2:  # noqa: PLR2004 - both
        raise DatabaseRefused("neither database can be reached: nothing was dropped")
    return away
