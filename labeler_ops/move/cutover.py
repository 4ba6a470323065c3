"""After the switch: deploy, look at the deployment, let users write, look again, and fill in what images lack.

That the deployment serves from the *new* database is proven by a mark that only the target has: the reason of its
maintenance mode names this run, and the API answers every write with that reason. So a call that would change
nothing (deleting a project that does not exist) is refused with 503 and that text by a process on the target, with
another reason by one on the source, and with 404 by one that is not in maintenance mode at all. A deployment replaces
processes one by one, so the mark has to come several times in a row, each over a connection of its own. A process on
the source that outlives this does no harm: the source's fence stands until `finalize`.
"""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from labeler_api.errors import AppError
from labeler_api.settings import Settings
from labeler_ops.connecting import connected_directly
from labeler_ops.errors import DatabaseError
from labeler_ops.maintenance import fence
from labeler_ops.move import write_downtime
from labeler_ops.move.context import MoveContext
from labeler_ops.move.engine import Phase, PhaseFacts
from labeler_ops.runs import Event

if TYPE_CHECKING:
    from labeler_ops.smoke.deployment import Deployment, SmokeAccount
    from labeler_ops.smoke.step_runner import SmokeReport

ENVIRONMENT_VARIABLE = "LABELER_NEW_ENVIRONMENT"
"""Where the operator's command finds the path of the new environment."""

OPENING = "opening"
"""Noted before the target is opened: from here on somebody may have written there."""

_IN_A_ROW = 5  # answers; with as many processes as a deployment has, a single one that is old is met
_LOOK_EVERY = 0.25
_UNAVAILABLE, _LOGGED_OUT = 503, 401
_REACHED_THE_DATABASE = (400, 404, 422)  # what becomes of the call where writing is allowed
_NAMES_RUN = "The new database is being looked at ({run})."
_LIMITS = {"MAX_IMAGE_PIXELS", "DECODING_MEMORY_BYTES"}  # the environment's own, of pictures that are decoded
_FILLERS = 4  # images that are read at once, while users work
_NAMED = 20  # images that could not be filled in; `labeler images backfill` names them all


@dataclass(frozen=True)
class Cutover:
    """How users come to the side that is moved to.

    `database` is that side's, None where no database is moved; `opens` lets users write there; `filled` is the
    environment of the images whose rows are filled in, None where nobody can tell it.
    """

    context: MoveContext
    database: str | None
    open_writes: Callable[[PhaseFacts], Awaitable[None]]
    image_settings: dict[str, str] | None = None

    def phases(self, *, by_hand: bool) -> list[Phase]:
        """Everything that was wished for; `by_hand` lets users write although no deployment is looked at."""
        options, name = self.context.options.deployment, self.context.name
        left_to_operator = (
            None if by_hand or options.url else "no deployment to look at was named: it is opened by hand"
        )
        found = [
            Phase(
                name("open"),
                self._open,
                left_to_operator=left_to_operator,
                description="users write on the new side from here on",
            )
        ]
        if options.url:
            found.insert(
                0, Phase(name("smoke, reading"), self._reading, description=f"{options.url} while nobody writes")
            )
            found.append(Phase(name("smoke"), self.smoke, description=f"{options.url}, everything that users do"))
        if self.image_settings is not None:
            found.append(Phase(name("backfill"), self._backfill, description="sizes of images; users work"))
        return [*self.deploy, *found]

    @property
    def deploy(self) -> list[Phase]:
        """The operator's command, where there is one."""
        command = self.context.options.deployment.deploy
        return [Phase(self.context.name("deploy"), self._deploy, description=f"runs {command}")] if command else []

    async def _deploy(self, facts: PhaseFacts) -> None:
        facts["exit_code"] = code = await self._ordered(self.context.options.deployment.deploy or "")
        if code:
            raise DatabaseError(f"the deployment's command ended with {code}; the target is closed as before")

    async def _ordered(self, command: str) -> int:
        """Run the operator's command and say what it says; its exit code.

        It writes to a file and not to a pipe: a service that it starts may keep a pipe open, and would be waited for.
        """
        variables = {**os.environ, ENVIRONMENT_VARIABLE: str(self.context.environment.absolute())}
        said = self.context.run.path(f"{self.context.name('deploy').replace(': ', '-')}.log")
        with said.open("wb") as output, said.open("rb") as seen:
            process = await asyncio.create_subprocess_shell(
                command, env=variables, stdout=output, stderr=asyncio.subprocess.STDOUT
            )
            ending = asyncio.ensure_future(process.wait())
            try:
                while not (await asyncio.wait({ending}, timeout=_LOOK_EVERY))[0]:
                    self._repeat(seen, whole=True)
            finally:
                if process.returncode is None:
                    process.terminate()
                code = await ending
                self._repeat(seen, whole=False)
        return code

    def _repeat(self, seen: BinaryIO, *, whole: bool) -> None:
        """Say the lines that came since; one that is not whole waits for its rest."""
        while line := seen.readline():
            if whole and not line.endswith(b"\n"):
                seen.seek(-len(line), os.SEEK_CUR)
                return
            self.context.reporter.line(f"  {line.decode(errors='replace').rstrip()}")

    async def _reading(self, facts: PhaseFacts) -> None:
        """Wait until the deployment serves from the target, and try reading; the target stays closed at any doubt."""
        url, account = self._named
        if self.database is not None:
            await self._marked(self.database, url, account)
        await self._smoke(facts, read_only=True)

    async def _open(self, facts: PhaseFacts) -> None:
        run = self.context.run
        if not opened(run.events, back=self.context.back):
            run.note(self.context.name(OPENING))  # from here on somebody may have written there
        await self.open_writes(facts)
        facts["seconds_without_writes"] = seconds = write_downtime.end(run)
        if seconds is not None:
            self.context.reporter.line(f"{seconds:.1f} s without writes")

    async def smoke(self, facts: PhaseFacts) -> None:
        """Wait until the deployment takes writes, and try everything. Raises DatabaseError."""
        url, account = self._named
        await self._answers(url, account, lambda text: text is None, "it still refuses writes")
        await self._smoke(facts, read_only=False)

    async def _backfill(self, facts: PhaseFacts) -> None:
        from labeler_api.settings import load
        from labeler_ops.images.backfill import backfill

        reporter = self.context.reporter
        kept = {name: os.environ[name] for name in _LIMITS & os.environ.keys()}
        settings = load({**kept, **(self.image_settings or {})})
        try:
            report = await backfill(settings, None, _FILLERS, lambda now: reporter.progress(now.examined, now.lacking))
        except AppError as error:  # the store is away
            raise DatabaseError(f"users work, and some images lack their sizes still: {error.detail}") from error
        facts.update(lacking=report.lacking, filled=report.filled, failed=len(report.failed))
        reporter.line(f"{report.filled:,} of {report.lacking:,} images have sizes now, {len(report.failed):,} failed")
        for failure in report.failed[:_NAMED]:
            reporter.line(f"  {failure.dataset_id} {failure.image_id}: {failure.reason} ({failure.s3_key})")
        await self._say_ties(settings)

    async def _say_ties(self, settings: Settings) -> None:
        """Name each bucket that does not name the database: nothing is deleted in it. Never raises."""
        from labeler_ops.storage.bucket_tie import read_ties

        try:
            untied = [look for look in await read_ties(settings) if look.state != "tied"]
        except AppError as error:
            self.context.reporter.line(f"whether deletion works was not looked at: {error.detail}")
            return
        for look in untied:
            self.context.reporter.line(f"nothing is deleted in the bucket {look.bucket}: {look.text}")
        if untied:
            self.context.reporter.line("next, with the services' environment: labeler storage adopt")

    @property
    def _named(self) -> tuple[str, "SmokeAccount"]:
        options = self.context.options.deployment
        if options.url is None or options.account is None:
            raise DatabaseError("no deployment to look at was named: --smoke-url and --smoke-email")
        return options.url, options.account

    async def _marked(self, target: str, url: str, account: "SmokeAccount") -> None:
        mark = _NAMES_RUN.format(run=self.context.name(self.context.run.id))
        async with connected_directly("target", target) as connection:
            await connection.execute(fence.SWITCH, "on", mark, "labeler move")
            await connection.execute(f"NOTIFY {fence.CHANNEL}, 'on'")
        self.context.reporter.line(f"waiting until {url} serves from the new database")
        said = "it does not serve from the new database yet: deploy it with environment.new"
        await self._answers(url, account, lambda text: text is not None and mark in text, said, _IN_A_ROW)

    async def _answers(
        self, url: str, account: "SmokeAccount", wanted: Callable[[str | None], bool], said: str, times: int = 1
    ) -> None:
        """Repeat a harmless write until it gets the wanted answer several times in a row: a refusal, or None."""
        from labeler_ops.smoke.deployment import Deployment, StepFailed

        patience = self.context.options.deployment.wait
        until, in_a_row, last = monotonic() + patience, 0, ""
        async with Deployment(url, account) as deployment:
            while in_a_row < times:
                try:
                    text = await _refusal(deployment)
                    in_a_row = in_a_row + 1 if wanted(text) else 0
                    last = "writes are not refused" if text is None else text
                except StepFailed as error:  # it is being deployed
                    in_a_row, last = 0, str(error)
                if in_a_row == 0:
                    if monotonic() > until:
                        raise DatabaseError(f"{url} after {patience:.0f} s: {said}. Its last answer: {last}")
                    await asyncio.sleep(_LOOK_EVERY)

    async def _smoke(self, facts: PhaseFacts, *, read_only: bool) -> None:
        from labeler_ops.smoke.smoke import smoke

        url, account = self._named
        report: SmokeReport = await smoke(url, account, read_only=read_only)
        facts.update(url=url, mode=report.mode, ok=report.ok, steps=msgspec.to_builtins(report.steps))
        for step in report.steps:
            self.context.reporter.line(f"  {step.state:8} {step.name}: {step.note}")
        if not report.ok:
            failed = "; ".join(f"{step.name}: {step.note}" for step in report.steps if step.state == "failed")
            raise DatabaseError(f"{url} does not do what it should: {failed}")


def opened(events: Sequence[Event], *, back: bool = False) -> bool:
    """Whether users may have written on the side that is moved to."""
    name = f"back: {OPENING}" if back else OPENING
    return any(event.phase == name for event in events)


async def _refusal(deployment: "Deployment") -> str | None:
    """Say why a deployment refuses writes, None when it does not. Raises StepFailed for any other answer."""
    from labeler_ops.smoke.deployment import StepFailed, decode_json, response_summary

    if not deployment.logged_in:
        await deployment.log_in()
    nobody_s = f"/api/v1/projects/proj_{secrets.token_hex(6)}"
    # A connection of its own each time, so that whatever stands in front may choose another process.
    answer = await deployment.send("DELETE", nobody_s, headers={"Connection": "close"})
    if answer.status_code == _UNAVAILABLE and decode_json(answer).get("code") == fence.CHANNEL:
        return str(decode_json(answer)["detail"])
    if answer.status_code in _REACHED_THE_DATABASE:
        return None
    if answer.status_code == _LOGGED_OUT:
        await deployment.log_in()
    raise StepFailed(response_summary(answer))
