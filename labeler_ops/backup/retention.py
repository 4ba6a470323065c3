"""Which backups are kept: the newest of each day, week and month up to a number of these, and what must never go."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from labeler_ops.backup.record import StoredBackup, begun_at

UNFINISHED_AFTER = timedelta(hours=24)
"""An attempt without a record may be under way; no backup takes a day."""


class Rule(msgspec.Struct, frozen=True):
    """How many days, weeks (from Monday) and months keep their newest backup; those without one do not count."""

    daily: int = 7
    weekly: int = 5
    monthly: int = 12


class RetentionPlan(msgspec.Struct):
    """What is kept, with every reason, and what goes: backups, and what attempts left behind."""

    kept: dict[str, list[str]]
    going: list[str]
    unfinished: list[str] = []


def plan(backups: Iterable[StoredBackup], rule: Rule, unfinished: Iterable[str], now: datetime) -> RetentionPlan:
    """Decide. Each database's backups are counted by themselves, in UTC.

    Whatever the rule says, three stay: the newest, the newest that was restored and found equal, and the newest whose
    bytes were found whole. Else a rule could leave nothing but backups that nobody has looked at.
    """
    found = sorted(backups, key=lambda one: one.record.id, reverse=True)
    reasons: dict[str, list[str]] = {}
    for database in {one.record.database for one in found}:
        mine = [one for one in found if one.record.database == database]
        for why, one in _reasons(mine, rule):
            reasons.setdefault(one.record.id, []).append(why)
    return RetentionPlan(
        kept={one.record.id: reasons[one.record.id] for one in found if one.record.id in reasons},
        going=[one.record.id for one in found if one.record.id not in reasons],
        unfinished=[one for one in unfinished if now - begun_at(one) > UNFINISHED_AFTER],
    )


def _reasons(newest_first: Sequence[StoredBackup], rule: Rule) -> Iterable[tuple[str, StoredBackup]]:
    yield "newest", newest_first[0]
    for why, proven in (
        ("last restored", [one for one in newest_first if one.restored]),
        ("last looked at", [one for one in newest_first if one.proof is not None]),
    ):
        if proven:
            yield why, proven[0]
    periods: Sequence[tuple[str, int, Callable[[datetime], object]]] = (
        ("day", rule.daily, lambda at: at.date()),
        ("week", rule.weekly, lambda at: at.isocalendar()[:2]),
        ("month", rule.monthly, lambda at: (at.year, at.month)),
    )
    for name, count, period in periods:
        seen: dict[object, StoredBackup] = {}
        for one in newest_first:
            seen.setdefault(period(begun_at(one.record.id)), one)
        for one in list(seen.values())[:count]:
            yield f"{name} {begun_at(one.record.id):%Y-%m-%d}", one
