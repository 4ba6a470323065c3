"""`labeler db …`: upgrade the Labeler DB, check it, compare two databases, print or apply the databases' roles."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console

from labeler_api.settings import database_url
from labeler_ops.command_result import FAILED, WRONG_USE, AsJson, exit_with_error, print_result, run_or_exit
from labeler_ops.console import ConsoleReporter
from labeler_ops.database.indexes import apply_indexes, indexes_sql
from labeler_ops.database.roles import DATABASES, READABLE, Database, apply_roles, roles_sql
from labeler_ops.runs import endpoint_name
from service_kit.settings import SettingsError
from service_kit.settings import database_url as normal_database_url

if TYPE_CHECKING:
    from labeler_ops.database.verify.structure import Roles

app = typer.Typer(no_args_is_help=True)

_NO = frozenset({"false", "no", "off", "0"})
_NOT_ASKED = WRONG_USE  # a command that could not look at all ends with 2, as grep

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="postgresql://user:password@host:port/name. Default: LABELER_DB_URL or its parts, else Railway's names.",
        show_default=False,
    ),
]
LegacyTimezone = Annotated[
    str,
    typer.Option(
        envvar="LABELER_LEGACY_TIMEZONE",
        help="Zone of the server whose now() filled in times, for a database that comes from production.",
    ),
]


_UNCHANGED = "nothing was changed"


@app.command()
def upgrade(
    url: Url = None,
    legacy_timezone: LegacyTimezone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Bring an empty database, production's or one of ours to the newest revision. Stop the API and back up first."""
    from labeler_ops.database.upgrade import upgrade as run_upgrade

    log = Console(stderr=True)
    database = dsn(url)

    def applied(step: str) -> None:
        log.print(f"[green]done[/green] {step}")

    with log.status("Upgrading"):
        report = run_or_exit(
            lambda: run_upgrade(database, legacy_timezone=legacy_timezone, progress=applied), as_json=as_json
        )
    print_result(
        report.for_programs(), lambda: report.show(Console()), as_json=as_json, code=0 if report.even else FAILED
    )


@app.command()
def check(url: Url = None, as_json: AsJson = False) -> None:
    """Compare the models with the database, both ways. Exit code 1: they differ; 2: the database could not be read."""
    from labeler_ops.database.schema_check import check as run_check

    database = dsn(url)
    differences = run_or_exit(lambda: run_check(database), code=_NOT_ASKED, as_json=as_json)
    said = f"{len(differences)} differences." if differences else "The database is what the models say: no difference."
    print_result(
        {"same": not differences, "differences": differences},
        lambda: typer.echo("\n".join([*differences, said])),
        as_json=as_json,
        code=FAILED if differences else 0,
    )


@app.command()
def verify(
    source: Annotated[str, typer.Option(envvar="SOURCE_DATABASE_URL", help="URL of the database that was copied.")],
    target: Annotated[str, typer.Option(envvar="TARGET_DATABASE_URL", help="URL of the copy.")],
    connections: Annotated[int, typer.Option(min=1, max=32, help="Per side.")] = 4,
    role: Annotated[
        list[str] | None,
        typer.Option(help="OLD=NEW: a role of the source that the target calls otherwise. May be repeated."),
    ] = None,
    without_roles: Annotated[
        bool, typer.Option("--without-roles", help="Leave owners and grants out: for a copy restored without them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare two databases: every row, sequence, definition, owner and grant.

    Exit code 1: they differ; 2: one cannot be read.
    """
    from labeler_ops.database.verify.equality import compare_databases

    urls = [dsn(url, name) for url, name in ((source, "--source"), (target, "--target"))]
    expected = None if without_roles else _roles(role or [])
    with ConsoleReporter(errors=True) as reporter:
        report = run_or_exit(
            lambda: compare_databases(*urls, connections=connections, roles=expected, progress=reporter.progress),
            code=_NOT_ASKED,
            as_json=as_json,
        )
    result = {"same": report.same, "differences": report.lines(), "report": report}
    print_result(
        result, lambda: report.show(Console(soft_wrap=True)), as_json=as_json, code=0 if report.same else FAILED
    )


def _roles(pairs: list[str]) -> "Roles":
    from labeler_ops.database.verify.structure import Roles

    renamed = dict(pair.split("=", 1) for pair in pairs if "=" in pair.strip("="))
    if len(renamed) != len(pairs):
        raise typer.BadParameter("expected OLD=NEW, each role of the source once", param_hint="--role")
    return Roles(renamed)


@app.command()
def roles(
    database: Annotated[Database | None, typer.Argument(help="One of the three; without it, all are printed.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Run the statements, in one transaction.")] = False,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            envvar="ADMIN_DATABASE_URL",
            help="With --apply: the database's URL, as a superuser.",
            show_default=False,
        ),
    ] = None,
    indexes: Annotated[
        bool, typer.Option("--indexes", help="Of the User DB: its indexes and not its grants; blocks nobody.")
    ] = False,
    role: Annotated[str | None, typer.Option(help="Another name than the usual one.", show_default=False)] = None,
    password: Annotated[
        str | None,
        typer.Option(envvar="LABELER_ROLE_PASSWORD", help="With --apply: the role's new password.", show_default=False),
    ] = None,
) -> None:
    """Print the roles and grants of the databases as SQL, or apply them to one. Safe to repeat.

    With --indexes: the indexes of the User DB in their place, which the gateway's look-ups and searches would use.
    """
    if indexes:
        _indexes(database, url if apply else None, apply=apply)
        return
    if not apply:
        # A password is not printed: statements are kept in logs and reviews.
        for name in [database] if database else DATABASES:
            typer.echo(
                f"-- {name}: connect to it as a superuser, leave out tables it has not, set the password with "
                "\\password"
            )
            _print(roles_sql(name, role=role))
        return
    if database is None or url is None:
        exit_with_error("--apply needs a database and its --url, as a superuser", _NOT_ASKED)
    admin = dsn(url)
    _print(run_or_exit(lambda: apply_roles(admin, database, role=role, password=password), _UNCHANGED))


def _indexes(database: Database | None, url: str | None, *, apply: bool) -> None:
    if database != "users" or (apply and url is None):
        exit_with_error(
            "--indexes is for the database `users`, with --apply for its --url, as the owner of its tables", _NOT_ASKED
        )
    if not apply:
        typer.echo("-- users: connect to it as the owner of its tables, leave out tables and columns it has not")
        _print(indexes_sql({"users": READABLE["users"]["users"]}))
        return
    owner = dsn(url)
    _print(run_or_exit(lambda: apply_indexes(owner), _UNCHANGED))


def _print(statements: Sequence[str]) -> None:
    typer.echo("".join(f"{statement};\n" for statement in statements))


@app.command()
def prune_history(
    older_than_days: Annotated[int, typer.Option(min=1, max=36500, help="What is younger can be restored as before.")],
    remove: Annotated[bool, typer.Option("--remove", help="Remove them; without it they are only counted.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Count or remove old entries of the annotations' history. The last entry of every annotation stays."""
    from labeler_ops.database.history import prune

    database = dsn(url)
    with Console(stderr=True).status("Looking at the history") as status:

        def seen(entries: int) -> None:
            status.update(f"{entries:,} entries looked at")

        found = run_or_exit(lambda: prune(database, older_than_days, remove=remove, progress=seen), as_json=as_json)
    done = "were removed" if remove else "would be removed; repeat with --remove"
    result = {"entries": found.entries, "old": found.old, "removed": remove}
    print_result(result, lambda: typer.echo(f"{found.old:,} of {found.entries:,} entries {done}."), as_json=as_json)


def dsn(url: str | None, option: str = "--url") -> str:
    """Find the URL that a command works on, `@path` for one in a file; exits with what is wrong when there is none."""
    try:
        environ = os.environ if url is None else {"LABELER_DB_URL": _from_file(url)}
        found = database_url(environ, "LABELER_DB", fall_back_to_railway=True)
        return found if url is not None else _past_the_pooler(found)
    except OSError as error:
        exit_with_error(f"{option}: {error.filename}: {error.strerror}", WRONG_USE)
    except SettingsError as error:
        exit_with_error(str(error) if url is None else str(error).replace("LABELER_DB_URL", option), WRONG_USE)


def _past_the_pooler(url: str) -> str:
    """The unpooled address of the same database, where the services reach it through a pooler.

    The environment of the services has both. Another name or role means that a person has named another database.
    """
    unpooled = os.environ.get("LABELER_DB_UNPOOLED_URL")
    if not unpooled or os.environ.get("DB_STATEMENT_CACHE", "").strip().lower() not in _NO:
        return url
    unpooled = normal_database_url(unpooled, "LABELER_DB_UNPOOLED_URL")
    given, past = urlsplit(url), urlsplit(unpooled)
    if (given.path, given.username) != (past.path, past.username) or given.netloc == past.netloc:
        return url
    typer.echo(
        f"LABELER_DB_URL leads to a pooler: LABELER_DB_UNPOOLED_URL is used, {endpoint_name(unpooled)}", err=True
    )
    return unpooled


def _from_file(url: str) -> str:
    return Path(url[1:]).read_text().strip() if url.startswith("@") else url
