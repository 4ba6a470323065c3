"""Turns PostgreSQL's errors into the application's. No SQL and no text of the driver is passed on."""

import re
from collections.abc import Callable

import asyncpg

from labeler_api import errors
from labeler_api.process import maintenance

# constraint → (code, what to tell the caller)
_CONFLICTS = {
    "annotation_projects_dataset_id_key": ("project_exists", "This dataset has a project already."),
    "ix_annotation_projects_dataset_id": ("project_exists", "This dataset has a project already."),
    "uq_project_user": ("already_member", "This user is a member of the project already."),
    "uq_project_owner": ("owner_exists", "A project has one owner. Transfer the ownership instead."),
    "ix_annotation_versions_project_task_version": (
        "version_exists",
        "This version number exists for the task already.",
    ),
    "uq_invitations_pending": ("invitation_pending", "An invitation of this user to this project is pending already."),
}

# The fence of maintenance mode, which holds where a process has not heard of it yet (labeler_ops/maintenance/fence.py).
_FENCED = "LM001"
_MISSED = "LB001"  # of db/functions
_IMPORTING = "LB002"

_RETRY_SECONDS = 2  # a restarted PostgreSQL answers after about a second
_SLOW_RETRY_SECONDS = 5  # who made a statement slow is mostly still at it
_FULL_RETRY_SECONDS = 60  # somebody has to make room

_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutdown, crash, recovery; a cancelled statement is told apart before
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.PostgresSystemError,  # the server's disk or files fail it
    asyncpg.ConfigFileError,
    # The driver's word between the server's farewell and the end of the connection: "cannot switch to state …".
    asyncpg.InternalClientError,
    TimeoutError,
)
_TRY_AGAIN = (
    asyncpg.TransactionRollbackError,  # deadlocks, serialization
    asyncpg.SnapshotTooOldError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)
_BAD_VALUE = (
    asyncpg.StringDataRightTruncationError,
    asyncpg.NumericValueOutOfRangeError,
    asyncpg.CharacterNotInRepertoireError,
    asyncpg.UntranslatableCharacterError,
    asyncpg.InvalidTextRepresentationError,
    asyncpg.CheckViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.DataError,
)


class translated:  # noqa: N801 - used as a function is
    """Turns the driver's errors of a block into the application's; those of the application pass.

    With `writes` a server that only reads is one that has to recover; elsewhere a write is a mistake of ours.
    """

    __slots__ = ("_writes",)

    def __init__(self, *, writes: bool = False) -> None:
        self._writes = writes

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """End it."""
        if error is not None:
            raise_translated(error, writes=self._writes)


def raise_translated(error: BaseException, *, writes: bool = False) -> None:
    """Raise what an error of the driver means; return for what shall go on as it is."""
    if isinstance(error, errors.AppError):
        return
    meaning = _meaning(error, writes=writes)
    if meaning is not None:
        raise meaning from error


def _meaning(error: BaseException, *, writes: bool) -> errors.AppError | None:
    if isinstance(error, asyncpg.UniqueViolationError):
        code, text = _CONFLICTS.get(error.constraint_name or "", ("already_exists", "This exists already."))
        return errors.Conflict(text, code=code)
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return errors.NotFound("What this belongs to has been deleted meanwhile.", code="parent_deleted")
    # An InterfaceError that is a ValueError is about an argument that the driver cannot encode: 2**40, "\ud800".
    if isinstance(error, _BAD_VALUE) or (isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)):
        return errors.Invalid(_value_text(error), code="invalid_value", errors=[])
    if isinstance(error, asyncpg.InterfaceError):
        # The driver's word for a connection that went away under a statement, or for a pool that closes.
        return _unavailable() if re.search(r"clos|terminat|released", str(error)) else None
    if isinstance(error, (*_TRY_AGAIN, *_AWAY, asyncpg.PostgresError)):
        return operational(error, writes=writes)
    return None


def operational(error: BaseException, *, writes: bool = False) -> errors.AppError | None:
    """Say what it means that a server is away, full, busy, fenced or in others' way; None for what is a defect."""
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate == _FENCED:
        return maintenance.refusal()
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate == _MISSED:
        return errors.NothingMatched()
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate == _IMPORTING:
        return _changed()
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError) and not writes:
        return None
    return next((make() for kinds, make in _CONDITIONS if isinstance(error, kinds)), None)


def _lock_timeout() -> errors.RetryTransaction:
    return errors.RetryTransaction(
        "Somebody else's change to the same data takes long. Try again shortly.",
        code="lock_timeout",
        retry_after=_RETRY_SECONDS,
    )


def _changed() -> errors.RetryTransaction:
    return errors.RetryTransaction("Somebody changed this at the same moment. Try again.", retry_after=1)


def _full() -> errors.Unavailable:
    return errors.Unavailable(
        "The database has no room left, so nothing can be changed at the moment. Reading goes on. "
        "Whoever runs the service has to make room.",
        code="database_full",
        retry_after=_FULL_RETRY_SECONDS,
    )


def _overloaded() -> errors.Unavailable:
    """Memory or a limit of its configuration is what the server lacks."""
    return errors.Unavailable(
        "The database has too much to do at the moment. Try again shortly.",
        code="database_busy",
        retry_after=_SLOW_RETRY_SECONDS,
    )


def _slow() -> errors.Unavailable:
    return errors.Unavailable(
        "The database took too long over this and was stopped. Try again shortly, or ask for less at once.",
        code="statement_timeout",
        retry_after=_SLOW_RETRY_SECONDS,
    )


def _read_only() -> errors.Unavailable:
    """A standby that took over and is not promoted yet, or a provider's way of saying that the disk fills up."""
    return errors.Unavailable(
        "The database takes no changes at the moment. Reading goes on. Try again shortly.",
        code="database_read_only",
        retry_after=_SLOW_RETRY_SECONDS,
    )


def _unavailable() -> errors.Unavailable:
    return errors.Unavailable(
        "The database is not available at the moment. Try again shortly.",
        code="database_unavailable",
        retry_after=_RETRY_SECONDS,
    )


# What a server may meet while nothing of ours is wrong; the first that fits counts.
_CONDITIONS: tuple[tuple[tuple[type[BaseException], ...], Callable[[], errors.AppError]], ...] = (
    ((asyncpg.LockNotAvailableError,), _lock_timeout),
    (_TRY_AGAIN, _changed),
    ((asyncpg.DiskFullError,), _full),
    ((asyncpg.TooManyConnectionsError,), _unavailable),
    ((asyncpg.InsufficientResourcesError,), _overloaded),
    ((asyncpg.QueryCanceledError,), _slow),
    ((asyncpg.ReadOnlySQLTransactionError,), _read_only),
    (_AWAY, _unavailable),
)


def _value_text(error: Exception) -> str:
    if isinstance(error, asyncpg.StringDataRightTruncationError):
        return "A text in the request is too long."
    if isinstance(error, asyncpg.CharacterNotInRepertoireError | asyncpg.UntranslatableCharacterError):
        return "A text in the request holds a character that cannot be stored, such as NUL."
    return "A value in the request is out of range or of a form that cannot be stored."
