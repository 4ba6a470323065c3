"""`labeler up`: everything on this machine, in the foreground."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from labeler_ops.errors import StackError
from labeler_ops.stack.terminal import Terminal


def register(app: typer.Typer) -> None:
    """Add the stack's commands to the command line."""
    app.command()(up)


def up(
    home: Annotated[
        Path | None, typer.Option(help="Where data, secrets and logs live. [default: $LABELER_HOME or .labeler]")
    ] = None,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Use a new directory that is gone at exit.")] = False,
    no_demo: Annotated[bool, typer.Option("--no-demo", help="Do not load the demo project.")] = False,
    ready_file: Annotated[Path | None, typer.Option(help="Write this JSON file once the whole system answers.")] = None,
) -> None:
    """Start PostgreSQL, the object store, the user gateway and the API; Ctrl-C stops them.

    LABELER_DB_URL, USER_DB_URL, PLATFORM_DB_URL and S3_ENDPOINT: what is given is used, what is not is embedded.
    API_PORT and USER_GATEWAY_PORT choose the ports (0: any free one).
    """
    terminal = Terminal()
    try:
        from labeler_ops.stack import run, settings
    except (
        ModuleNotFoundError
    ) as error:  # a service's image has no use for the embedded servers, and not their packages
        terminal.failure(f"`labeler up` needs {error.name}: pip install 'image-labeler[stack]'")
        raise typer.Exit(1) from None
    try:
        wanted = settings.load(home=home, ephemeral=ephemeral, demo=not no_demo, ready_file=ready_file)
        os.environ.clear()
        os.environ.update(wanted.environ)
        asyncio.run(run.in_foreground(wanted, terminal))
    except StackError as error:
        terminal.failure(str(error))
        raise typer.Exit(1) from None
