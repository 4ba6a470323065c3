"""What `labeler db migrate` does after the switch if told how: its options, and the commands left to a person."""

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from labeler_ops.database.move import launch
from labeler_ops.runs import Run

if TYPE_CHECKING:
    from labeler_ops.smoke.deployment import Account

_WRONG_USE = 2
_PASSWORD = "LABELER_SMOKE_PASSWORD"  # noqa: S105 - a variable's name

DeployCommand = Annotated[
    str | None,
    typer.Option(
        "--deploy",
        help=f"A shell command that deploys; {launch.ENVIRONMENT_VARIABLE} holds the path of the new environment.",
        show_default=False,
    ),
]
SmokeUrl = Annotated[
    str | None,
    typer.Option("--smoke-url", help="The deployment: looked at, opened, looked at again.", show_default=False),
]
SmokeEmail = Annotated[
    str | None,
    typer.Option(
        "--smoke-email", help=f"An account of it. Its password: {_PASSWORD}, or a prompt.", show_default=False
    ),
]
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for the deployment to serve from the new database.")]


@dataclass(frozen=True)
class Launch:
    """What was asked for after the switch."""

    deploy: str | None
    url: str | None
    account: "Account | None"
    wait: float

    @classmethod
    def asked(cls, deploy: str | None, url: str | None, email: str | None, wait: float) -> "Launch":
        """Check it before anything is done; exits with what is wrong."""
        if url is None:
            return cls(deploy, None, None, wait)
        if email is None:
            raise _refused("--smoke-url needs --smoke-email, an account of the deployment")
        from importlib.util import find_spec

        if find_spec("httpx") is None:
            raise _refused("this needs httpx: pip install 'image-labeler[staging]'")
        from labeler_ops.smoke.deployment import Account, normal_url

        try:
            url = normal_url(url)
        except ValueError as error:
            raise _refused(f"--smoke-url: {error}") from None
        password = os.environ.get(_PASSWORD)
        if not password and not sys.stdin.isatty():
            raise _refused(f"the password of {email}: set {_PASSWORD}")
        return cls(deploy, url, Account(email, password or typer.prompt("Password", hide_input=True, err=True)), wait)


async def launched(
    move: launch.Opens, target: str, wanted: Launch, environment: str = "environment.new", *, closed: bool = True
) -> None:
    """Deploy, look and open as far as was asked for; a database that is not `closed` is only tried in full.

    Raises DatabaseRefused at the first doubt.
    """
    if wanted.deploy:
        await launch.deploy(move, wanted.deploy, move.run.path(environment))
    if not wanted.url or not wanted.account:
        return
    if closed:
        await launch.look_and_open(move, target, wanted.url, wanted.account, patience=wanted.wait)
    else:
        await launch.look_again(move, wanted.url, wanted.account, patience=wanted.wait)


def next_commands(run: Run, until: str) -> list[str]:
    """Say what is left to a person, as commands to copy."""
    if run.ended("open") is not None:
        return ["the target is open. The way back is `labeler db rollback`, until `labeler db finalize`"]
    if until != "switch":
        return [f"next: labeler db migrate --resume {run.id}"]
    said = ["next:"]
    if run.ended("deploy environment.new") is None:
        said.append(f"  deploy with the variables of {run.path('environment.new')}")
    return [
        *said,
        "  labeler smoke --url https://… --email … --read-only",
        f"  labeler db open --run {run.id}",
        "  labeler smoke --url https://… --email …",
    ]


def _refused(text: str) -> typer.Exit:
    Console(stderr=True, soft_wrap=True).print(text, markup=False)
    return typer.Exit(_WRONG_USE)
