"""The phases of a move by logical replication: what each does, and what it leaves in the run."""

import getpass
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from labeler_api.db.failures import FAILURES
from labeler_ops.backup import clients
from labeler_ops.backup.dumps import JOBS
from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.move.preflight import Findings
from labeler_ops.database.move.proven_backup import back_up
from labeler_ops.database.replication import copying, looks
from labeler_ops.database.replication.sides import Sides, Urls
from labeler_ops.database.replication.standstill import StandStill
from labeler_ops.maintenance import fence
from labeler_ops.runs import Run, RunError, place
from labeler_ops.voice import Voice

Step: TypeAlias = Callable[[Sides, dict[str, Any]], Awaitable[None]]

OPENING = "opening"


class Steps:
    """Everything that happens between two databases; `variable` is what the services call the URL.

    `jobs` are the backup's connections; `compare_after` compares the rows after the target is open.
    """

    def __init__(
        self,
        run: Run,
        urls: Urls,
        voice: Voice,
        *,
        jobs: int = JOBS,
        variable: str = "LABELER_DB_URL",
        compare_after: bool = False,
        backup: bool = True,
    ) -> None:
        self.run, self.urls, self.voice, self.jobs, self.variable = run, urls, voice, jobs, variable
        self.compare_after, self.backup = compare_after, backup
        known = {name: run.facts.get(name) for name in urls.places}
        if known != urls.places:
            raise RunError(
                f"run {run.id} moves {known['source']} to {known['target']}, not {urls.places['source']} to "
                f"{urls.places['target']}: give its URLs"
            )
        self.reverse_wanted = bool(run.facts["reverse"])
        self._stop = StandStill(run, urls, voice)

    @property
    def phases(self) -> Mapping[str, Step]:
        """Every phase of `migrate`, in its order; `open` is a command of its own, too."""
        return {
            "preflight": self._preflight,
            "backup": self._backup,
            "schema": self._schema,
            "publish": self._publish,
            "subscribe": self._subscribe,
            "copying": self._copying,
            "stand-still": self._stand_still,
            "switch": self._switch,
            "open": self._open,
        }

    async def _do(self, sides: Sides, *names: str) -> None:
        steps = {**self.phases, "go-back": self._go_back, "rollback": self._give_back}
        for name in names:
            if self.run.ended(name) is not None:
                self.voice.line(f"{name}: done already")
                continue
            self.voice.line(name)
            with self.run.phase(name) as facts:
                try:
                    await steps[name](sides, facts)
                except FAILURES as error:
                    raise DatabaseRefused(f"{name}: {error or type(error).__name__}") from error

    async def _preflight(self, sides: Sides, facts: dict[str, Any]) -> None:
        findings = await looks.look(sides, self.run.directory, reverse=self.reverse_wanted)
        self.voice.show(Findings(findings))
        facts["findings"] = msgspec.to_builtins(findings)
        if refused := [f"{finding.name}: {finding.text}" for finding in findings if finding.verdict == "refused"]:
            raise DatabaseRefused("\n".join(refused))

    async def _backup(self, sides: Sides, facts: dict[str, Any]) -> None:
        if self.backup:
            tools = clients.find(sides.target.get_server_version().major)
            urls = (self.urls.source, self.urls.target)
            facts.update(await back_up(self.run, tools, *urls, self.voice, self.jobs))
        else:
            facts["left_out"] = True
            self.voice.line("NO BACKUP is made (--no-backup): replication copies mistakes, too, and does not undo them")

    async def _schema(self, sides: Sides, _: dict[str, Any]) -> None:
        await copying.make_tables(sides, self.run.path("schema.dump"))

    async def _publish(self, sides: Sides, _: dict[str, Any]) -> None:
        await sides.forth.publish()

    async def _subscribe(self, sides: Sides, _: dict[str, Any]) -> None:
        self._require_seen()
        await sides.forth.subscribe(copy=True)

    async def _copying(self, sides: Sides, facts: dict[str, Any]) -> None:
        facts["tables"] = await copying.copied(sides, self.voice)

    async def _stand_still(self, sides: Sides, _: dict[str, Any]) -> None:
        await self._stop.make(sides.forth, self.urls.source, rows=not self._compared_after())

    async def _switch(self, sides: Sides, facts: dict[str, Any]) -> None:
        await self._require_fence(self.urls.source)
        if self.reverse_wanted:
            self._require_seen()
            # The slot is there before anybody writes on the target, and the old subscription is gone before the new
            # one applies anything: no change is missed, and none goes round in a circle.
            await sides.back.publish()
        await sides.forth.drop()
        if self.reverse_wanted:
            await sides.back.subscribe(copy=False)
        # Nobody writes on the target before it was looked at.
        await fence.on(self.urls.target, reason=fence.MOVED, by=getpass.getuser())
        path = self._write_environment("environment.new", self.urls.target)
        facts["environment"] = path.name
        self.voice.line(f"the new environment is in {path}: set {self.variable} on every service, and deploy")

    async def _open(self, _: Sides, facts: dict[str, Any]) -> None:
        await self._require_fence(self.urls.source)
        self.run.note(OPENING)  # from here on somebody may have written on the target
        await fence.off(self.urls.target, by=getpass.getuser())
        facts["seconds_without_writes"] = self._stop.over()

    async def _go_back(self, sides: Sides, _: dict[str, Any]) -> None:
        opened = self._began(OPENING)
        try:
            await self._stop.make(sides.back, self.urls.target, rows=True, was_open=opened)
        except DatabaseRefused as error:
            if not opened:
                raise
            raise DatabaseRefused(f"{error}. The target serves on, and nothing is lost: {self._way_out}") from error

    @property
    def _way_out(self) -> str:
        return (
            f"mend it, or `labeler db rollback --run {self.run.id} --into` an empty database, which takes a copy of "
            "everything on the target"
        )

    async def _give_back(self, sides: Sides, facts: dict[str, Any]) -> None:
        await self._require_fence(self.urls.target)
        await sides.back.drop()
        await fence.off(self.urls.source, by=getpass.getuser())
        self._write_environment("environment.rollback", self.urls.source)
        facts["seconds_without_writes"] = self._stop.over()

    async def _require_fence(self, url: str) -> None:
        if not (await fence.status(url)).stands:
            raise DatabaseRefused(
                "the fence of the side that is left has been taken down, and somebody may have written there since: "
                "`labeler db replicate stop`, and start anew with an empty target"
            )

    def _require_seen(self) -> None:
        if (known := self.run.facts.get("seen")) != (given := seen(self.urls)):
            raise DatabaseRefused(
                "the servers see each other as the run began with: give --source-as-seen-by-target and "
                f"--target-as-seen-by-source as then ({known}, now {given})"
            )

    def _compared_after(self) -> bool:
        noted = (event.facts["after"] for event in reversed(self.run.events) if event.phase == "compare")
        return bool(next(noted, False))

    def _began(self, phase: str) -> bool:
        return self._last(phase) is not None

    def _last(self, phase: str) -> str | None:
        return next((event.event for event in reversed(self.run.events) if event.phase == phase), None)

    def _write_environment(self, name: str, url: str) -> Path:
        path = self.run.path(name)
        path.touch(mode=0o600)
        path.write_text(f"{self.variable}={json.dumps(url)}\n")
        return path


def seen(urls: Urls) -> list[str | None]:
    """Where each server finds the other, without passwords."""
    return [place(url) if url else None for url in (urls.source_seen, urls.target_seen)]
