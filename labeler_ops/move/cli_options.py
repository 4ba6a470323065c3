"""The options of `labeler move …`, as Structs: each command takes those that it needs, and typer sees their fields."""

import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec
import typer

from labeler_ops.backup.dumps import JOBS
from labeler_ops.command_result import WRONG_USE, exit_with_error
from labeler_ops.database import zones
from labeler_ops.database.commands import dsn
from labeler_ops.database.roles import Database
from labeler_ops.move.context import CONCURRENCY, DeploymentOptions, Endpoints, Mode, MovePlan, Part, RunOptions, Stores
from labeler_ops.move.cutover import ENVIRONMENT_VARIABLE
from labeler_ops.move.replication.database_pair import Urls
from labeler_ops.move.rows import upgrading
from labeler_ops.smoke.deployment_options import PASSWORD, account, address, require_httpx
from labeler_ops.storage.access import StorageError
from labeler_ops.storage.store_variables import read_both

_STORES = ("SOURCE_S3_ENDPOINT", "TARGET_S3_ENDPOINT")


class EndpointOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything is and goes to; the stores are those of SOURCE_S3_… and TARGET_S3_…."""

    source: Annotated[
        str | None, typer.Option(envvar="SOURCE_DATABASE_URL", help="The database that is moved.", show_default=False)
    ] = None
    target: Annotated[
        str | None,
        typer.Option(envvar="TARGET_DATABASE_URL", help="An empty database that it is moved to.", show_default=False),
    ] = None
    source_seen: Annotated[
        str | None,
        typer.Option(
            "--source-as-seen-by-target",
            envvar="SOURCE_DATABASE_URL_SEEN_BY_TARGET",
            help="The source's URL where the target's server uses another.",
            show_default=False,
        ),
    ] = None
    target_seen: Annotated[
        str | None,
        typer.Option(
            "--target-as-seen-by-source",
            envvar="TARGET_DATABASE_URL_SEEN_BY_SOURCE",
            help="The target's URL where the source's server uses another.",
            show_default=False,
        ),
    ] = None
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            help="With --only objects: the Labeler DB that names them. Default: LABELER_DB_URL and its kin.",
            show_default=False,
        ),
    ] = None
    references: Annotated[
        bool,
        typer.Option(
            "--references/--no-references", help="Ask the Labeler DB which objects there must be, and stop it."
        ),
    ] = True

    def endpoints(self, plan: MovePlan) -> Endpoints:
        """Both ends of what a plan moves; exits with what is missing."""
        rows = self.rows() if plan.only is not Part.OBJECTS else None
        wanted = plan.only is Part.OBJECTS or (plan.only is None and plan.database == "labeler")
        return Endpoints(rows, self._stores(rows) if wanted else None)

    def rows(self) -> Urls:
        """Both databases; exits with what is missing."""
        for name, url in (("SOURCE_DATABASE_URL", self.source), ("TARGET_DATABASE_URL", self.target)):
            if url is None:
                exit_with_error(f"{name} is missing: the URL of that side (or --only objects)", WRONG_USE)
        source, target = dsn(self.source, "--source"), dsn(self.target, "--target")
        return Urls(source, target, self.source_seen, self.target_seen)

    def _stores(self, rows: Urls | None) -> Stores:
        try:
            source, target = read_both()
        except StorageError as error:
            hint = "" if any(map(os.environ.get, _STORES)) else ". Where the objects stay: --only databases"
            exit_with_error(f"{error}{hint}", WRONG_USE)
        if rows is not None:
            return Stores(source, target, rows.source)
        return Stores(source, target, dsn(self.url) if self.references else None)


class RunsOption(msgspec.Struct, frozen=True, kw_only=True):
    """Where runs are."""

    runs: Annotated[Path, typer.Option(help="Where runs keep their journals, backups and reports.")] = Path("runs")


class RunSelector(RunsOption, frozen=True, kw_only=True):
    """Which run."""

    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            help="The run. Default: the last of the given databases that is not over; for `status` over or not.",
            show_default=False,
        ),
    ] = None


class PlanOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is moved, and how: a run goes on with what it was begun with."""

    only: Annotated[Part | None, typer.Option(help="Leave the other part where it is.", show_default=False)] = None
    database: Annotated[
        str, typer.Option(metavar="[labeler|users|platform]", help="Which of the three; the last two without objects.")
    ] = "labeler"
    mode: Annotated[
        Mode, typer.Option(help="dump: users read only while it copies. logical: seconds without writes.")
    ] = Mode.DUMP
    legacy_timezone: Annotated[
        str,
        typer.Option(
            zones.OPTION,
            envvar=zones.VARIABLE,
            help="Zone of the server whose now() filled in times, for a source of before.",
        ),
    ] = upgrading.UTC
    reverse: Annotated[
        bool, typer.Option("--reverse/--no-reverse", help="logical: let writes flow back to the source afterwards.")
    ] = True
    compare_after: Annotated[
        bool, typer.Option(help="logical: open first, and compare the rows of that moment then; for large databases.")
    ] = False
    backup: Annotated[
        bool, typer.Option("--backup/--no-backup", help="Dump the source and try the dump first; no backup is said.")
    ] = True

    def plan(self) -> MovePlan:
        """Check it; exits with what is wrong."""
        if self.database not in {"labeler", "users", "platform"}:
            exit_with_error(f"--database: expected labeler, users or platform, got {self.database!r}", WRONG_USE)
        if self.database != "labeler" and (self.mode is Mode.LOGICAL or self.only is Part.OBJECTS):
            exit_with_error(f"--database {self.database} is moved by --mode dump, without objects", WRONG_USE)
        return msgspec.convert(msgspec.to_builtins(self), MovePlan)


def _cannot_start(command: str) -> str | None:
    """Say why a command that begins with the path of a file would fail: it is called while users can only read."""
    program = command.split(maxsplit=1)[0] if command.split() else ""
    if "/" not in program or not re.fullmatch(r"[\w./-]+", program):
        return None  # a name that the shell looks for, an assignment, or quotes: the shell knows
    if not Path(program).is_file():
        return f"there is no file {program}"
    return None if os.access(program, os.X_OK) else f"{program} may not be executed: chmod +x {program}"


class ExecutionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What may differ from one command of a run to the next."""

    jobs: Annotated[int, typer.Option(min=1, max=64, help="Connections of a dump or a restore.")] = JOBS
    concurrency: Annotated[int, typer.Option(min=1, max=128, help="Objects under way at once.")] = CONCURRENCY
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over objects that differ and that this run did not write.")
    ] = False
    accept_quarantine: Annotated[
        bool, typer.Option(upgrading.ACCEPT, help="Go on although the upgrade set aside more than 1 % of a table.")
    ] = False
    deploy: Annotated[
        str | None,
        typer.Option(
            help=f"A shell command that deploys; {ENVIRONMENT_VARIABLE} holds the path of the new environment.",
            show_default=False,
        ),
    ] = None
    smoke_url: Annotated[
        str | None, typer.Option(help="The deployment: looked at, opened, looked at again.", show_default=False)
    ] = None
    smoke_email: Annotated[
        str | None, typer.Option(help=f"An account of it. Its password: {PASSWORD}, or a prompt.", show_default=False)
    ] = None
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for the deployment to serve from the new side.")
    ] = 900.0

    def run_options(self, database: Database = "labeler") -> RunOptions:
        """Check them before anything is done; exits with what is wrong."""
        if self.smoke_url and database != "labeler":
            exit_with_error(f"--smoke-url is the Labeler DB's: {database} is opened by hand", WRONG_USE)
        if self.deploy and (reason := _cannot_start(self.deploy)):
            exit_with_error(f"--deploy: {reason}", WRONG_USE)
        return RunOptions(
            jobs=self.jobs,
            concurrency=self.concurrency,
            overwrite=self.overwrite,
            accept_quarantine=self.accept_quarantine,
            deployment=self._launch(),
        )

    def _launch(self) -> DeploymentOptions:
        if self.smoke_url is None:
            return DeploymentOptions(deploy=self.deploy, wait=self.wait)
        if self.smoke_email is None:
            exit_with_error("--smoke-url needs --smoke-email, an account of the deployment", WRONG_USE)
        require_httpx(WRONG_USE)
        url = address(self.smoke_url, "--smoke-url")
        return DeploymentOptions(deploy=self.deploy, url=url, account=account(self.smoke_email), wait=self.wait)


def with_option_structs(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take Structs: typer is shown their fields as options, and the command gets them filled in."""
    structs: dict[str, type[msgspec.Struct]] = {}
    parameters: list[inspect.Parameter] = []
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        kind = hints[name]
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            structs[name] = kind
            fields = get_type_hints(kind, include_extras=True)
            parameters += [
                inspect.Parameter(
                    field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=fields[field.name]
                )
                for field in msgspec.structs.fields(kind)
            ]
        else:
            as_option = inspect.Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(kind=as_option, annotation=kind))

    def taken(**given: Any) -> None:
        made = {
            name: kind(**{field: given.pop(field) for field in kind.__struct_fields__})
            for name, kind in structs.items()
        }
        command(**made, **given)

    taken.__name__, taken.__doc__ = command.__name__, command.__doc__
    taken.__annotations__ = {one.name: one.annotation for one in parameters}
    taken.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return taken
