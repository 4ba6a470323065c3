"""The stretches in which nobody can write, as the journal has them."""

from datetime import UTC, datetime

from labeler_ops.runs import Run

NOTED = "write-stop"


def begin(run: Run) -> None:
    """Note, before the fence is built, that nobody can write from here on."""
    run.note(NOTED, begins=True)


def end(run: Run) -> float | None:
    """Note that writing works again. Return how many seconds it was stopped, None if that is not known."""
    since = stopped_since(run)
    run.note(NOTED, begins=False)
    if since is None:
        return None
    return round((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds(), 3)


def stopped_since(run: Run) -> str | None:
    """When writing was stopped, if it is."""
    found = stretches(run)
    return found[-1][0] if found and found[-1][1] is None else None


def stretches(run: Run) -> list[tuple[str, str | None]]:
    """Every stretch without writes: from, and to, None while it lasts. If one is begun twice, the first time counts."""
    found: list[tuple[str, str | None]] = []
    for event in run.events:
        if event.phase != NOTED:
            continue
        open_ = bool(found) and found[-1][1] is None
        if event.facts["begins"] and not open_:
            found.append((event.at, None))
        elif not event.facts["begins"] and open_:
            found[-1] = (found[-1][0], event.at)
    return found
