"""`labeler smoke` and `labeler staging-check`: look at a running deployment by its address."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress

from labeler_ops.command_result import FAILED, AsJson, exit_with_error, print_result, run_or_exit
from labeler_ops.runs import Run
from labeler_ops.smoke.deployment_options import PASSWORD, address, require_httpx
from labeler_ops.smoke.deployment_options import account as account_of

if TYPE_CHECKING:
    from labeler_ops.smoke.step_runner import StepResult

_T = TypeVar("_T")
_UNDECIDED, _INTERRUPTED = 3, 130
_MEMBER_PASSWORD = "LABELER_SMOKE_MEMBER_PASSWORD"  # noqa: S105 - a variable's name
_AGAINST_PASSWORD = "LABELER_SMOKE_AGAINST_PASSWORD"  # noqa: S105

Url = Annotated[str, typer.Option("--url", help="The deployment, as https://host.")]
Email = Annotated[str, typer.Option(help=f"An account of it. Its password: {PASSWORD}, or a prompt.")]
MemberEmail = Annotated[
    str | None,
    typer.Option(help=f"A second account, made a member for a moment. Its password: {_MEMBER_PASSWORD}, or a prompt."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(name="smoke")(smoke)
    app.command(name="staging-check")(staging_check)


def smoke(
    url: Url,
    email: Email,
    member_email: MemberEmail = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="For maintenance mode: change nothing, and see a write refused.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Try everything that users do, on a dataset that is deleted at the end. Exit code 1: something failed."""
    require_httpx()
    from labeler_ops.smoke.smoke import cancel_on_sigterm
    from labeler_ops.smoke.smoke import smoke as run_smoke

    url = address(url, "--url")
    account = account_of(email)
    member = account_of(member_email, _MEMBER_PASSWORD) if member_email else None
    log = Console(stderr=True)

    async def work() -> Any:
        cancel_on_sigterm()
        with log.status("starting") as status:
            return await run_smoke(
                url, account, member=member, read_only=read_only, on_step=lambda one: status.update(_done(one))
            )

    report = _run(work)
    code = 0 if report.ok else _INTERRUPTED if report.interrupted else FAILED
    print_result(report, lambda: report.show(Console()), as_json=as_json, code=code)


def staging_check(
    url: Url,
    email: Email,
    against: Annotated[str | None, typer.Option(help="The deployment before, to compare latencies with.")] = None,
    against_email: Annotated[
        str | None, typer.Option(help=f"Its account, if another. Password: {_AGAINST_PASSWORD}, else the same.")
    ] = None,
    member_email: MemberEmail = None,
    rounds: Annotated[int, typer.Option(min=10, help="Of all calls; four times as many while it is undecided.")] = 100,
    runs: Annotated[Path, typer.Option(help="Where runs keep their reports.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Smoke, then compare latencies in turns.

    Exit code 1: something failed or the p95 is 10 % worse; 3: undecided, or nothing to compare with.
    """
    require_httpx()
    from labeler_ops.smoke import staging
    from labeler_ops.smoke.deployment import SmokeAccount
    from labeler_ops.smoke.smoke import cancel_on_sigterm

    url, against = address(url, "--url"), address(against, "--against") if against else None
    account = account_of(email)
    password = os.environ.get(_AGAINST_PASSWORD) or account.password
    before = (against, SmokeAccount(against_email or email, password)) if against else None
    member = account_of(member_email, _MEMBER_PASSWORD) if member_email else None
    records = Run.start(runs, "staging", {"url": url, "against": against})
    log = Console(stderr=True, soft_wrap=True)

    async def work() -> Any:
        cancel_on_sigterm()
        with Progress(console=log, transient=True) as progress:
            bar = progress.add_task("smoke", total=None)
            return await staging.staging_check(
                records,
                (url, account),
                before,
                member=member,
                rounds=rounds,
                told_step=lambda one: progress.update(bar, description=_done(one)),
                told_round=lambda done, most: progress.update(bar, description="rounds", completed=done, total=most),
            )

    report = _run(work)
    failed = _INTERRUPTED if report.smoke.interrupted else FAILED
    code = {"pass": 0, "fail": failed}.get(report.verdict, _UNDECIDED)
    print_result(report, lambda: report.show(Console()), as_json=as_json, code=code)


def _done(one: "StepResult") -> str:
    return f"{one.name}: {one.state}"


def _run(work: Callable[[], Awaitable[_T]]) -> _T:
    try:
        return run_or_exit(work)
    except (KeyboardInterrupt, asyncio.CancelledError):
        exit_with_error("interrupted", _INTERRUPTED)
