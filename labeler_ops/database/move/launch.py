"""After the switch: deploy, look at the deployment, open it, and look again.

That the deployment serves from the *new* database is proven by a mark that only the target has: the reason of its
maintenance mode names this run, and the API says the reason to whoever tries to write. So a call that would change
nothing (deleting a project that does not exist) is refused with 503 and that text by a process on the target, with
another reason by one on the source, and with 404 by one that is not in maintenance mode at all. A deployment replaces
processes one by one, so the mark has to come several times in a row, each over a connection of its own. A process on
the source that outlives this does no harm: the source's fence stands until `finalize`.
"""

import asyncio
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.move.preflight import connected
from labeler_ops.maintenance import fence
from labeler_ops.runs import Run
from labeler_ops.voice import Voice

if TYPE_CHECKING:
    from labeler_ops.smoke.checklist import SmokeReport
    from labeler_ops.smoke.deployment import Account, Deployment

ENVIRONMENT_VARIABLE = "LABELER_NEW_ENVIRONMENT"
"""Where the operator's command finds the path of the new environment."""

_IN_A_ROW = 5  # answers; with as many processes as a deployment has, a single one that is old is met
_LOOK_EVERY = 0.25
_UNAVAILABLE, _LOGGED_OUT = 503, 401
_REACHED_THE_DATABASE = (400, 404, 422)  # what becomes of the call where writing is allowed
_NAMES_RUN = "The new database is being looked at ({run})."


class Opens(Protocol):
    """A move of either mode."""

    run: Run
    voice: Voice

    async def open(self) -> None:
        """Let users write on the target."""


async def deploy(move: Opens, command: str, environment: Path) -> None:
    """Run the operator's command once, its output shown. Raises DatabaseRefused when it fails."""
    phase = f"deploy {environment.name}"
    if move.run.ended(phase) is not None:
        move.voice.line(f"{phase}: done already")
        return
    move.voice.line(phase)
    with move.run.phase(phase) as facts:
        process = await asyncio.create_subprocess_shell(
            command,
            env=_with(environment),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None  # noqa: S101 - asked for above
        try:
            async for line in process.stdout:
                move.voice.line(f"  {line.decode(errors='replace').rstrip()}")
            facts["exit_code"] = code = await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        if code:
            raise DatabaseRefused(f"the deployment's command ended with {code}; the target is closed as before")


def _with(environment: Path) -> dict[str, str]:
    return {**os.environ, ENVIRONMENT_VARIABLE: str(environment.absolute())}


async def look_and_open(move: Opens, target: str, url: str, account: "Account", *, patience: float) -> None:
    """Wait until the deployment serves from the target, try reading, open, and try everything.

    Raises DatabaseRefused at the first doubt; before the opening, the target stays closed.
    """
    if move.run.ended("smoke") is None:
        move.voice.line("smoke")
        with move.run.phase("smoke") as facts:
            await _marked(move, target, url, account, patience)
            await _smoke(move, url, account, facts, read_only=True)
    if move.run.ended("open") is None:
        move.voice.line("open")
        await move.open()
    await look_again(move, url, account, patience=patience)


async def look_again(move: Opens, url: str, account: "Account", *, patience: float) -> None:
    """Wait until the deployment takes writes, and try everything. Raises DatabaseRefused."""
    phase = "smoke, open"
    if move.run.ended(phase) is None:
        move.voice.line(phase)
        with move.run.phase(phase) as facts:
            await _answers(url, account, lambda text: text is None, patience, "it still refuses writes")
            await _smoke(move, url, account, facts, read_only=False)


async def _marked(move: Opens, target: str, url: str, account: "Account", patience: float) -> None:
    mark = _NAMES_RUN.format(run=move.run.id)
    connection = await connected("target", target)
    try:
        await connection.execute(fence.SWITCH, "on", mark, "labeler db migrate")
        await connection.execute(f"NOTIFY {fence.CHANNEL}, 'on'")
    finally:
        await connection.close(timeout=5)
    move.voice.line(f"waiting until {url} serves from the new database")
    said = "it does not serve from the new database yet: deploy it with environment.new"
    await _answers(url, account, lambda text: text is not None and mark in text, patience, said, _IN_A_ROW)


async def _answers(
    url: str, account: "Account", wanted: Callable[[str | None], bool], patience: float, said: str, times: int = 1
) -> None:
    """Ask until the answer to a harmless write is as wanted so many times in a row: its refusal, None without one."""
    from labeler_ops.smoke.deployment import Deployment, StepFailed

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
                    raise DatabaseRefused(f"{url} after {patience:.0f} s: {said}. Its last answer: {last}")
                await asyncio.sleep(_LOOK_EVERY)


async def _refusal(deployment: "Deployment") -> str | None:
    """Say why a deployment refuses writes, None when it does not. Raises StepFailed for any other answer."""
    from labeler_ops.smoke.deployment import StepFailed, decoded, told

    if not deployment.logged_in:
        await deployment.log_in()
    nobody_s = f"/api/v1/projects/proj_{secrets.token_hex(6)}"
    # A connection of its own each time, so that whatever stands in front may choose another process.
    answer = await deployment.send("DELETE", nobody_s, headers={"Connection": "close"})
    if answer.status_code == _UNAVAILABLE and decoded(answer).get("code") == fence.CHANNEL:
        return str(decoded(answer)["detail"])
    if answer.status_code in _REACHED_THE_DATABASE:
        return None
    if answer.status_code == _LOGGED_OUT:
        await deployment.log_in()
    raise StepFailed(told(answer))


async def _smoke(move: Opens, url: str, account: "Account", facts: dict[str, Any], *, read_only: bool) -> None:
    from labeler_ops.smoke.smoke import smoke

    report: SmokeReport = await smoke(url, account, read_only=read_only)
    facts.update(url=url, mode=report.mode, ok=report.ok, steps=msgspec.to_builtins(report.steps))
    for step in report.steps:
        move.voice.line(f"  {step.state:8} {step.name}: {step.note}")
    if not report.ok:
        failed = "; ".join(f"{step.name}: {step.note}" for step in report.steps if step.state == "failed")
        raise DatabaseRefused(f"{url} does not do what it should: {failed}")
