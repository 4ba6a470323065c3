"""`labeler backup create|list|verify|restore|prune`: backups of the databases, and the way back from a disaster."""

import os
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from labeler_ops.command_result import FAILED, WRONG_USE, AsJson, exit_with_error, print_json, run_or_exit
from labeler_ops.console import ConsoleReporter
from labeler_ops.database.commands import dsn
from labeler_ops.database.roles import ROLES, Database

if TYPE_CHECKING:
    from labeler_ops.backup.backup_storage import BackupStorage
    from labeler_ops.backup.record import BackupRecord, StoredBackup
    from labeler_ops.backup.restoring import Restored

app = typer.Typer(no_args_is_help=True)

_T = TypeVar("_T")

Where = Annotated[
    str,
    typer.Option(
        "--at",
        envvar="BACKUP_PLACE",
        help="Where backups are kept: a directory, or s3://bucket/prefix with BACKUP_S3_ENDPOINT and its keys.",
    ),
]
Work = Annotated[
    Path | None,
    typer.Option(envvar="BACKUP_WORK", help="A directory with room for a dump. Default: the system's for such files."),
]
Which = Annotated[str, typer.Argument(help="The backup's id, as `list` shows it, or `latest`.")]
OfDatabase = Annotated[Database, typer.Option(help="Which of the three databases.")]
Scratch = Annotated[
    str | None,
    typer.Option(
        "--scratch",
        envvar="BACKUP_SCRATCH_DATABASE_URL",
        help="A server's URL, @path for one in a file: restore there into a database of its own, compare, and drop it.",
        show_default=False,
    ),
]


@app.command()
def create(
    at: Where,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            envvar="BACKUP_DATABASE_URL",
            help="The database, @path for a URL in a file; unpooled, as a role that reads everything. "
            "Default: LABELER_DB_URL or its parts.",
            show_default=False,
        ),
    ] = None,
    database: OfDatabase = "labeler",
    objects: Annotated[
        bool,
        typer.Option(
            "--objects/--no-objects", help="Write the inventory of the buckets beside it, where S3_ENDPOINT is."
        ),
    ] = True,
    scratch: Scratch = None,
    work: Work = None,
    jobs: Annotated[int, typer.Option(min=1, max=32, help="Connections that dump and restore.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Dump a database as of one moment, keep it with its hashes, and read it back. Users work on.

    With --scratch it is restored and compared, too; else do that now and then by `verify`. Exit code 1: there is no new
    backup, or it is not good.
    """
    from labeler_ops.backup import creating, object_inventory, restoring

    source = dsn(url)

    async def work_on(place: "BackupStorage", reporter: ConsoleReporter) -> "tuple[BackupRecord, Restored | None]":
        store = object_inventory.store_of(os.environ) if objects and database == "labeler" else None
        record = await creating.create(place, source, reporter, database=database, objects=store, work=work, jobs=jobs)
        await restoring.check(place, record, reporter)
        if scratch is None:
            return record, None
        return record, await restoring.try_out(place, record, dsn(scratch, "--scratch"), reporter, work=work, jobs=jobs)

    record, tried = _run(at, work_on)
    if as_json:
        print_json({"backup": record, "restored": tried, "same": tried.same if tried else None})
    else:
        typer.echo(
            f"backup {record.id}: {record.rows:,} rows of {record.source}, {decimal(record.bytes)}, "
            f"in {record.seconds:.1f} s. Digest {record.digest[:16]}."
        )
        if record.objects:
            typer.echo(f"inventory of {record.objects.objects:,} objects, {decimal(record.objects.bytes)}")
        if tried is None:
            typer.echo("every file was read back and has its hash; not restored yet: `labeler backup verify --scratch`")
    if tried is not None:
        _judge(tried, as_json=as_json)


@app.command(name="list")
def list_(
    at: Where,
    newest_within_hours: Annotated[
        float | None,
        typer.Option(min=0, help="Exit with 1 where a database's newest backup is older: for who watches the nights."),
    ] = None,
    database: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[labeler|users|platform]",
            help="With --newest-within-hours: a database that must have a backup; given once for each.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the backups, the oldest first, and what attempts that were cut off left behind."""
    from labeler_ops.backup import backup_storage

    if wrong := [one for one in database or [] if one not in ROLES]:
        exit_with_error(f"--database: expected labeler, users or platform, got {wrong[0]!r}", WRONG_USE)
    found, unfinished = _run(at, lambda place, _screen: backup_storage.list_backups(place))
    if as_json:
        print_json({"backups": found, "unfinished": unfinished})
    else:
        _show(found, unfinished)
    if newest_within_hours is not None:
        _require_young(found, timedelta(hours=newest_within_hours), database or [])


def _require_young(found: "list[StoredBackup]", age: timedelta, wanted: Sequence[str]) -> None:
    """Exit with 1 where the newest backup of a database is too old, or one that is wanted, or any, has none."""
    newest = {one.record.database: one.record for one in found}  # the oldest come first
    if missing := [one for one in wanted if one not in newest]:
        exit_with_error(f"there is no backup of {', '.join(missing)}")
    if not newest:
        exit_with_error("there is no backup")
    if old := [record.id for record in newest.values() if datetime.now(UTC) - record.created_at > age]:
        exit_with_error(f"too old, and the newest: {', '.join(old)}")


def _show(found: "list[StoredBackup]", unfinished: list[str]) -> None:
    grid = Table(box=None, pad_edge=False)
    for title in ("backup", "rows", "size", "objects", "proven", "digest"):
        grid.add_column(
            title,
            justify="right" if title in {"rows", "size", "objects"} else "left",
            no_wrap=True,
            min_width=max((len(one.record.id) for one in found), default=0) if title == "backup" else None,
        )
    for one in found:
        grid.add_row(*_row(one))
    console = Console(soft_wrap=True, highlight=False)
    console.print(grid)
    if unfinished:
        console.print(f"not finished, and no backups: {', '.join(unfinished)}", markup=False)


def _row(one: "StoredBackup") -> tuple[str, ...]:
    proof = "never"
    if one.proof is not None:
        how = "restored" if one.proof.how == "restored" else "read"
        proof = f"{how} {one.proof.at:%Y-%m-%d %H:%M}"
    objects = f"{one.record.objects.objects:,}" if one.record.objects else "-"
    return one.record.id, f"{one.record.rows:,}", decimal(one.record.bytes), objects, proof, one.record.digest[:16]


@app.command()
def verify(
    at: Where,
    backup: Which = "latest",
    database: OfDatabase = "labeler",
    scratch: Scratch = None,
    work: Work = None,
    jobs: Annotated[int, typer.Option(min=1, max=32, help="Connections that restore.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Read every file of a backup and compare hashes; with --scratch restore it, and compare every row and definition.

    Exit code 1: it is damaged, or not what the database was.
    """
    from labeler_ops.backup import backup_storage, restoring

    async def work_on(
        place: "BackupStorage", reporter: ConsoleReporter
    ) -> "tuple[BackupRecord, float, Restored | None]":
        record = await backup_storage.find_record(place, backup, database)
        seconds = await restoring.check(place, record, reporter)
        if scratch is None:
            return record, seconds, None
        url = dsn(scratch, "--scratch")
        return record, seconds, await restoring.try_out(place, record, url, reporter, work=work, jobs=jobs)

    record, seconds, tried = _run(at, work_on)
    if as_json:
        print_json(
            {"backup": record.id, "files": len(record.files), "restored": tried, "same": tried.same if tried else None}
        )
    else:
        typer.echo(
            f"{record.id}: {len(record.files)} files have their hashes ({decimal(record.bytes)}, {seconds:.1f} s)"
        )
    if tried is not None:
        _judge(tried, as_json=as_json)


@app.command()
def restore(
    at: Where,
    into: Annotated[
        str,
        typer.Option(
            envvar="RESTORE_DATABASE_URL",
            help="A database that is empty, or not there yet: then it is made. @path for a URL in a file.",
        ),
    ],
    backup: Which = "latest",
    database: OfDatabase = "labeler",
    replace: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Empty the database of this name first. What it holds is lost."),
    ] = None,
    owners: Annotated[
        bool, typer.Option("--owners", help="With owners and grants, as a superuser; their roles have to be there.")
    ] = False,
    objects: Annotated[
        bool,
        typer.Option("--objects/--no-objects", help="Compare the inventory with the buckets, where S3_ENDPOINT is."),
    ] = True,
    work: Work = None,
    jobs: Annotated[int, typer.Option(min=1, max=32, help="Connections that restore.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Restore a backup, and compare every row and definition with what the database was.

    Nothing is touched before every file is here and has its hash. Exit code 1: nothing was restored, or it is not the
    same; the text says which.
    """
    from labeler_ops.backup import backup_storage, object_inventory, restoring

    target = dsn(into, "--into")

    async def work_on(place: "BackupStorage", reporter: ConsoleReporter) -> "Restored":
        record = await backup_storage.find_record(place, backup, database)
        store = object_inventory.store_of(os.environ) if objects and record.objects else None
        return await restoring.restore(
            place, record, target, reporter, replace=replace, owners=owners, objects=store, work=work, jobs=jobs
        )

    done = _run(at, work_on)
    if as_json:
        print_json({"restored": done, "same": done.same})
    elif done.objects is not None:
        found = done.objects
        typer.echo(
            f"objects: {found.looked_at:,} in the inventory, {found.gone:,} are gone, {found.changed:,} are others"
        )
        for line in found.named:
            typer.echo(f"  {line}")
    _judge(done, as_json=as_json)


@app.command()
def prune(
    at: Where,
    keep_daily: Annotated[int, typer.Option(min=0, help="Of so many days the newest.")] = 7,
    keep_weekly: Annotated[int, typer.Option(min=0, help="Of so many weeks the newest.")] = 5,
    keep_monthly: Annotated[int, typer.Option(min=0, help="Of so many months the newest.")] = 12,
    remove: Annotated[bool, typer.Option("--remove", help="Remove them; without it they are only named.")] = False,
    as_json: AsJson = False,
) -> None:
    """Name or remove the backups that no rule keeps, and what attempts left behind that are over for a day.

    The newest one stays, and so do the last that was restored and the last that was read, whatever the rules say.
    """
    from labeler_ops.backup import backup_storage, retention

    async def work_on(place: "BackupStorage", reporter: ConsoleReporter) -> retention.RetentionPlan:
        found, unfinished = await backup_storage.list_backups(place)
        rule = retention.Rule(keep_daily, keep_weekly, keep_monthly)
        plan = retention.plan(found, rule, unfinished, datetime.now(UTC))
        for number, backup_id in enumerate([*plan.going, *plan.unfinished] if remove else [], 1):
            await place.remove(backup_id)
            reporter.progress(number, len(plan.going) + len(plan.unfinished))
        return plan

    plan = _run(at, work_on)
    if as_json:
        print_json({"removed": remove, **msgspec.to_builtins(plan)})
        return
    for backup_id, reasons in plan.kept.items():
        typer.echo(f"kept     {backup_id}  {', '.join(reasons)}")
    word = "removed " if remove else "would go"
    for backup_id in plan.going:
        typer.echo(f"{word} {backup_id}")
    for backup_id in plan.unfinished:
        typer.echo(f"{word} {backup_id}  never finished")
    if not remove and (plan.going or plan.unfinished):
        typer.echo("nothing was removed; repeat with --remove")


def _judge(done: "Restored", *, as_json: bool) -> None:
    """Say whether what was restored is what the database was; exits with 1 where it is not."""
    if not as_json:
        for line in done.differences:
            typer.echo(line)
        verdict = "The same: every row and definition" if done.same else f"{len(done.differences)} differences"
        typer.echo(
            f"{verdict}. {done.rows:,} rows, fetched in {done.fetch_seconds:.1f} s, restored in "
            f"{done.restore_seconds:.1f} s, compared in {done.compare_seconds:.1f} s. Digest {done.digest[:16]}."
        )
    if not done.same:
        raise typer.Exit(FAILED)


def _run(at: str, work: "Callable[[BackupStorage, ConsoleReporter], Coroutine[Any, Any, _T]]") -> _T:
    from labeler_ops.backup import backup_storage

    async def all_of_it() -> _T:
        # What is asked for with --json is alone on standard output.
        with ConsoleReporter(errors=True) as reporter:
            async with backup_storage.opened(at) as place:
                return await work(place, reporter)

    return run_or_exit(all_of_it)
