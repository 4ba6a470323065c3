"""Moves for tests: of rows, of objects, or of both, to a listener."""

from pathlib import Path
from typing import Any

from labeler_ops.move.context import Ends, Mode, Part, Plan, Stores, Wishes, Work
from labeler_ops.move.replication.database_pair import Urls
from labeler_ops.move.workflow import Road
from labeler_ops.runs import Run
from labeler_ops.storage.access import StorageAccess
from tests.fixtures.listener import Listener

NOTHING = Wishes()


def rows(source: str, target: str, **seen: str) -> Ends:
    """Both databases, and no stores."""
    return Ends(Urls(source, target, **seen), None)


def objects(source: StorageAccess, target: StorageAccess, database: str | None = None) -> Ends:
    """Both stores, and no databases."""
    return Ends(None, Stores(source, target, database))


def everything(urls: tuple[str, str], stores: tuple[StorageAccess, StorageAccess]) -> Ends:
    return Ends(Urls(*urls), Stores(*stores, urls[0]))


def begun(runs: Path, ends: Ends, wishes: Wishes = NOTHING, **plan: Any) -> Road:
    """A new run; the parts that have no ends are not moved."""
    only = Part.OBJECTS if ends.databases is None else Part.DATABASES if ends.stores is None else None
    return Road(Work.begin(runs, Plan(**{"only": only, **plan}), ends, Listener(), wishes))


def following(runs: Path, urls: Urls, **plan: Any) -> Road:
    """A new run by logical replication."""
    return begun(runs, Ends(urls, None), mode=Mode.LOGICAL, **plan)


async def through(road: Road) -> None:
    """Go there, and let users write there."""
    await road.go()
    await road.open()


def again(run: Path, ends: Ends, wishes: Wishes = NOTHING) -> Road:
    """A run as the next command finds it."""
    return Road(Work.of(Run.resume(run.parent, run.name), ends, Listener(), wishes))


def lines(road: Road) -> list[str]:
    """What was said."""
    reporter = road.work.reporter
    assert isinstance(reporter, Listener)
    return reporter.lines
