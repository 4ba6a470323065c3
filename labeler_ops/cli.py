"""The `labeler` command line: a table of contents, nothing more."""

import atexit
import gc
import os
import sys

import typer

from labeler_ops.backup import commands as backup
from labeler_ops.database import commands as database
from labeler_ops.environment import commands as environment
from labeler_ops.images import commands as images
from labeler_ops.maintenance import commands as maintenance
from labeler_ops.move import commands as move
from labeler_ops.runs import redacted
from labeler_ops.smoke import commands as smoke
from labeler_ops.stack import commands as stack
from labeler_ops.storage import commands as storage

_SEEN = (
    "warning: a password on the command line can be read by everybody on this machine, and stays in the shell's "
    "history. Give it by the option's variable (--help names it), or by a file: --url @path\n"
)
_WIDE = "200"  # in a file, a mail or a deployment's log nothing has to be cut off, as a window of 80 columns would

_NEW_OBJECTS = 50_000  # some megabytes at most, until the collector looks

app = typer.Typer(
    name="labeler", no_args_is_help=True, pretty_exceptions_enable=False, help="Run, check and move the image labeler."
)
stack.register(app)
smoke.register(app)
app.add_typer(database.app, name="db", help="The databases: upgrade, check, compare, roles.")
app.add_typer(backup.app, name="backup", help="Backups of the databases, and the way back from a disaster.")
app.add_typer(environment.app, name="env", help="What the environment says, and whether it is right.")
app.add_typer(maintenance.app, name="maintenance", help="Stop all writing, and allow it again.")
app.add_typer(images.app, name="images", help="Images in the object store and their rows.")
app.add_typer(move.app, name="move", help="Everything to another place, in one run, and the way back.")
app.add_typer(storage.app, name="storage", help="The object store: buckets and checks.")


@app.command()
def openapi() -> None:
    """Print the OpenAPI document of the API, generated from its routes."""
    import msgspec

    from labeler_api.app import describe

    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(describe()), indent=2) + b"\n")


def main() -> None:
    """Entry point of the `labeler` script."""
    if not sys.stdout.isatty():
        os.environ.setdefault("COLUMNS", _WIDE)
    # Loaded modules stay until the end. Collecting garbage after every 700 objects took a tenth of the start.
    gc.set_threshold(_NEW_OBJECTS)
    atexit.register(gc.freeze)  # nor at the end, when all of it goes
    if any(redacted(argument) != argument for argument in sys.argv[1:]) or "--password" in sys.argv:
        sys.stderr.write(_SEEN)
    app()


if __name__ == "__main__":
    main()
