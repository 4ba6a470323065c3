"""What a move is about: its plan, both ends, and what its operator gives with each command."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from labeler_ops.backup.dumps import JOBS
from labeler_ops.database.roles import Database
from labeler_ops.errors import DatabaseError
from labeler_ops.move import environment_files
from labeler_ops.move.replication.database_pair import Urls
from labeler_ops.move.rows.ownership import PRIVATE
from labeler_ops.reporter import Reporter
from labeler_ops.runs import Run, RunError
from labeler_ops.storage import store_variables
from labeler_ops.storage.access import StorageAccess, StorageError

if TYPE_CHECKING:
    from labeler_ops.smoke.deployment import SmokeAccount

KIND = "move"
CONCURRENCY = 16  # objects under way at once


class Mode(StrEnum):
    """How rows come to the target: with a dump while nobody writes, or by replication while everybody does."""

    DUMP = "dump"
    LOGICAL = "logical"


class Part(StrEnum):
    """What is moved, where it is not everything."""

    DATABASES = "databases"
    OBJECTS = "objects"


class MovePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is begun with, and goes on with: it stands in the journal's first line."""

    only: Part | None = None
    database: Database = "labeler"
    mode: Mode = Mode.DUMP
    legacy_timezone: str = "UTC"
    reverse: bool = True
    compare_after: bool = False
    backup: bool = True


@dataclass(frozen=True)
class Stores:
    """Two object stores, and the URL of the Labeler DB that says which objects there must be."""

    source: StorageAccess
    target: StorageAccess
    database: str | None


@dataclass(frozen=True)
class Endpoints:
    """Where everything is and goes to, with the passwords; what is not moved is None."""

    databases: Urls | None
    stores: Stores | None

    @property
    def places(self) -> dict[str, str]:
        """What a run is known by: both ends without their passwords."""
        found = dict(self.databases.places) if self.databases else {}
        if self.stores:
            found |= {
                "source_store": store_variables.store_name(self.stores.source),
                "target_store": store_variables.store_name(self.stores.target),
            }
        return found


@dataclass(frozen=True, kw_only=True)
class DeploymentOptions:
    """How the services come to the new side: a command that deploys, and the deployment with an account."""

    deploy: str | None = None
    url: str | None = None
    account: "SmokeAccount | None" = None
    wait: float = 900.0


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What may differ from one command of a run to the next."""

    jobs: int = JOBS
    concurrency: int = CONCURRENCY
    overwrite: bool = False
    accept_quarantine: bool = False
    deployment: DeploymentOptions = DeploymentOptions()


@dataclass(frozen=True)
class MoveContext:
    """One move, as every phase sees it; `back` on the way back, whose phases have names of their own."""

    run: Run
    plan: MovePlan
    endpoints: Endpoints
    reporter: Reporter
    options: RunOptions = RunOptions()
    back: bool = False

    def name(self, phase: str) -> str:
        """What the journal calls a phase of this way."""
        return f"back: {phase}" if self.back else phase

    @property
    def environment(self) -> Path:
        """The file of the variables that the services need on the side that this way leads to."""
        return self.run.path(environment_files.ROLLBACK if self.back else environment_files.NEW)

    @property
    def private_address(self) -> str | None:
        """Where the services reach the target, if not as the move does; on the way back there is another target."""
        return None if self.back else os.environ.get(PRIVATE)

    @classmethod
    def begin(
        cls, root: Path, plan: MovePlan, endpoints: Endpoints, reporter: Reporter, options: RunOptions = RunOptions()
    ) -> "MoveContext":
        """Start a run."""
        seen = endpoints.databases.seen if endpoints.databases else []
        facts = {**endpoints.places, "seen": seen, "plan": msgspec.to_builtins(plan)}
        return cls(Run.start(root, KIND, facts), plan, endpoints, reporter, options)

    @classmethod
    def resume(
        cls, run: Run, endpoints: Endpoints, reporter: Reporter, options: RunOptions = RunOptions()
    ) -> "MoveContext":
        """Go on with a run. Raises RunError when these are not its ends."""
        known = {name: run.facts.get(name) for name in ("source", "target", "source_store", "target_store")}
        if (given := endpoints.places) != {name: value for name, value in known.items() if value is not None}:
            raise RunError(f"run {run.id} moves {describe_places(known)}, not {describe_places(given)}: give its URLs")
        return cls(run, plan_of(run), endpoints, reporter, options)

    @property
    def stores(self) -> Stores:
        """Both stores. Raises StorageError where none is moved."""
        if self.endpoints.stores is None:
            raise StorageError("this run moves no objects")
        return self.endpoints.stores

    @property
    def databases(self) -> Urls:
        """Both databases. Raises DatabaseError where none is moved."""
        if self.endpoints.databases is None:
            raise DatabaseError("this run moves no database")
        return self.endpoints.databases


def plan_of(run: Run) -> MovePlan:
    """Read the plan of a run."""
    return msgspec.convert(run.facts.get("plan", {}), MovePlan)


def describe_places(places: Mapping[str, str | None]) -> str:
    """Name both ends of each pair."""
    pairs = [(places.get(f"source{kind}"), places.get(f"target{kind}")) for kind in ("", "_store")]
    return " and ".join(f"{source} to {target}" for source, target in pairs if source or target) or "nothing"
