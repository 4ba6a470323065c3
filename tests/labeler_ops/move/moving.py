"""Moves for tests: of rows, of objects, or of both, to a listener."""

from pathlib import Path
from typing import Any

from labeler_ops.move.context import Endpoints, Mode, MoveContext, MovePlan, Part, RunOptions, Stores
from labeler_ops.move.replication.database_pair import Urls
from labeler_ops.move.workflow import MoveWorkflow
from labeler_ops.runs import Run
from labeler_ops.storage.access import StorageAccess
from tests.fixtures.listener import Listener

NOTHING = RunOptions()


def rows(source: str, target: str, **seen: str) -> Endpoints:
    """Both databases, and no stores."""
    return Endpoints(Urls(source, target, **seen), None)


def objects(source: StorageAccess, target: StorageAccess, database: str | None = None) -> Endpoints:
    """Both stores, and no databases."""
    return Endpoints(None, Stores(source, target, database))


def everything(urls: tuple[str, str], stores: tuple[StorageAccess, StorageAccess]) -> Endpoints:
    return Endpoints(Urls(*urls), Stores(*stores, urls[0]))


def begun(runs: Path, ends: Endpoints, options: RunOptions = NOTHING, **plan: Any) -> MoveWorkflow:
    """A new run; the parts that have no ends are not moved."""
    only = Part.OBJECTS if ends.databases is None else Part.DATABASES if ends.stores is None else None
    return MoveWorkflow(MoveContext.begin(runs, MovePlan(**{"only": only, **plan}), ends, Listener(), options))


def following(runs: Path, urls: Urls, **plan: Any) -> MoveWorkflow:
    """A new run by logical replication."""
    return begun(runs, Endpoints(urls, None), mode=Mode.LOGICAL, **plan)


async def through(workflow: MoveWorkflow) -> None:
    """Go there, and let users write there."""
    await workflow.run_forward()
    await workflow.open()


def again(run: Path, ends: Endpoints, options: RunOptions = NOTHING) -> MoveWorkflow:
    """A run as the next command finds it."""
    return MoveWorkflow(MoveContext.resume(Run.resume(run.parent, run.name), ends, Listener(), options))


def lines(workflow: MoveWorkflow) -> list[str]:
    """What was said."""
    reporter = workflow.context.reporter
    assert isinstance(reporter, Listener)
    return reporter.lines
