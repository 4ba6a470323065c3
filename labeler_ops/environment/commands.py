"""`labeler env check|render`: what the environment says, and the files that are made from the declaration."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from labeler_ops.command_result import FAILED, WRONG_USE, AsJson, exit_with_error, print_result, run_or_exit
from labeler_ops.environment.variables import SERVICES

app = typer.Typer(no_args_is_help=True)


class For(StrEnum):
    """Whose variables; typer lists an enumeration's values in its help."""

    API = "api"
    GATEWAY = "gateway"
    OPS = "ops"


@app.command()
def check(
    only: Annotated[
        list[For] | None,
        typer.Option("--for", help="Only what this service reads; may be repeated. Default: all.", show_default=False),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Look at this file instead of at the environment, e.g. .env.", show_default=False),
    ] = None,
    connect: Annotated[
        bool, typer.Option("--connect", help="Ask every database, the store and the gateway too.")
    ] = False,
    replicas: Annotated[int, typer.Option(min=1, help="Replicas of each service, for the sum of connections.")] = 1,
    overlap: Annotated[
        bool, typer.Option(help="Count twice: while a deployment overlaps, old and new processes run.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Print every variable, its source and form, and what is missing or contradictory. Secrets are never printed.

    Exit code 1: something is wrong. 2: the file cannot be read.
    """
    from labeler_ops.environment.environment_check import check as whole_check
    from labeler_ops.environment.reading import read, set_otherwise
    from labeler_ops.environment.show import show

    services = [service for service in SERVICES if only is None or service in only]
    source = file.name if file else "environment"
    with Console(stderr=True).status("Asking every part" if connect else "Looking"):
        report = run_or_exit(
            lambda: whole_check(
                read(file),
                services,
                source=source,
                replicas=replicas,
                overlap=overlap,
                connect=connect,
                otherwise=set_otherwise(file),
            ),
            code=WRONG_USE,
        )
    result = {"right": report.right, **msgspec.to_builtins(report)}
    print_result(result, lambda: show(report, Console()), as_json=as_json, code=0 if report.right else FAILED)


@app.command()
def render(
    root: Annotated[Path, typer.Option(help="The project's directory.", show_default=False)] = Path(),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would change; exit code 1 if anything.")
    ] = False,
) -> None:
    """Write .env.example, .env.local.example and docs/deployment/environment-variables*.md again."""
    from labeler_ops.environment.render import FILES
    from labeler_ops.environment.render import render as write

    if not (root / "pyproject.toml").is_file():
        exit_with_error(f"{root.absolute()} is not the project's directory: name it with --root", WRONG_USE)
    if not dry_run:
        for name in write(root):
            typer.echo(f"{name} written")
        return
    stale = [name for name, make in FILES.items() if not (root / name).is_file() or (root / name).read_text() != make()]
    for name in stale:
        typer.echo(f"{name} differs")
    if stale:
        raise typer.Exit(FAILED)
