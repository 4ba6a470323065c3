"""What a PostgreSQL server may meet while nothing of ours is wrong: each has an answer that says so, none is a 500."""

from collections.abc import Iterator

import asyncpg
import pytest

from labeler_api.db.errors import translated
from labeler_api.errors import AppError, RetryTransaction, Unavailable

# SQLSTATE or class of them → the code of the answer. docs/observability.md tells operators what each means.
_CODES = {
    "08": "database_unavailable",
    "25P03": "database_unavailable",
    "25P04": "database_unavailable",
    "25006": "database_read_only",
    "28": "database_unavailable",
    "3D": "database_unavailable",
    "40": "try_again",
    "53": "database_busy",
    "53100": "database_full",
    "53300": "database_unavailable",
    "55P03": "lock_timeout",
    "57": "database_unavailable",
    "57014": "statement_timeout",
    "58": "database_unavailable",
    "72": "try_again",
    "F0": "database_unavailable",
    "LM001": "maintenance",
}


def _known(kind: type[asyncpg.PostgresError]) -> Iterator[type[asyncpg.PostgresError]]:
    yield kind
    for further in kind.__subclasses__():
        yield from _known(further)


def _operational() -> dict[str, str]:
    """Every SQLSTATE that the driver has a class for, and that the table speaks of."""
    states = {kind.sqlstate for kind in _known(asyncpg.PostgresError) if kind.sqlstate}
    found = {state: _CODES.get(state) or _CODES.get(state[:2]) for state in states}
    return {state: code for state, code in found.items() if code is not None} | {"LM001": "maintenance"}


def _refusal(sqlstate: str, *, writes: bool) -> AppError:
    error = asyncpg.PostgresError.new({"C": sqlstate, "M": "secret words of the server", "S": "ERROR"})
    with pytest.raises(AppError) as caught, translated(writes=writes):
        raise error
    return caught.value


def test_the_table_meets_the_driver() -> None:
    known = _operational()
    assert len(known) > 35
    assert {state for state in _CODES if len(state) == 5} <= known.keys()


@pytest.mark.parametrize(("sqlstate", "code"), sorted(_operational().items()))
def test_an_operational_condition_is_a_503(sqlstate: str, code: str) -> None:
    refusal = _refusal(sqlstate, writes=True)
    assert isinstance(refusal, Unavailable)
    assert refusal.code == code
    assert refusal.status == 503
    assert refusal.retry_after is not None
    assert refusal.retry_after >= 1
    assert "secret" not in refusal.detail
    assert isinstance(refusal, RetryTransaction) == (code in {"try_again", "lock_timeout"}), (
        "what is worth another try, and no more"
    )


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), OSError(113, "No route to host")])
def test_a_broken_way_is_a_503(error: Exception) -> None:
    with pytest.raises(Unavailable) as caught, translated():
        raise error
    assert caught.value.code == "database_unavailable"


@pytest.mark.parametrize("sqlstate", ["42P01", "42703", "42601", "25P02", "XX000"])
def test_a_defect_stays_one(sqlstate: str) -> None:
    error = asyncpg.PostgresError.new({"C": sqlstate, "M": "m", "S": "ERROR"})
    with pytest.raises(type(error)), translated(writes=True):
        raise error


def test_a_write_on_a_reading_connection_is_a_defect() -> None:
    error = asyncpg.PostgresError.new({"C": "25006", "M": "m", "S": "ERROR"})
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError), translated():
        raise error
