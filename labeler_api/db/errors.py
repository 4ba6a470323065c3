"""What PostgreSQL refuses, said in the application's words. No SQL and no driver text goes on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from labeler_api import errors, maintenance

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

_RETRY_SECONDS = 2  # a restarted PostgreSQL answers after about a second

_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.QueryCanceledError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    # The driver's word between the server's farewell and the end of the connection: "cannot switch to state …".
    asyncpg.InternalClientError,
    TimeoutError,
)
_TRY_AGAIN = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
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


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into the application's; those of the application pass."""
    try:
        yield
    except errors.AppError:
        raise
    except asyncpg.UniqueViolationError as error:
        code, text = _CONFLICTS.get(error.constraint_name or "", ("already_exists", "This exists already."))
        raise errors.Conflict(text, code=code) from error
    except asyncpg.ForeignKeyViolationError as error:
        raise errors.NotFound("What this belongs to has been deleted meanwhile.", code="parent_deleted") from error
    except _TRY_AGAIN as error:
        raise errors.Stale("Somebody changed this at the same moment. Try again.", retry_after=1) from error
    except _BAD_VALUE as error:
        raise errors.Invalid(_value_text(error), code="invalid_value", errors=[]) from error
    except _AWAY as error:
        raise _unavailable() from error
    except asyncpg.InterfaceError as error:
        if isinstance(error, ValueError):  # an argument that the driver cannot encode: 2**40 for an int4, "\ud800"
            raise errors.Invalid(_value_text(error), code="invalid_value", errors=[]) from error
        # The driver's word for a connection that went away under a statement, or for a pool that closes.
        if re.search(r"clos|terminat|released", str(error)):
            raise _unavailable() from error
        raise
    except asyncpg.PostgresError as error:
        if error.sqlstate == _FENCED:
            raise maintenance.refusal() from error
        raise


def _value_text(error: Exception) -> str:
    if isinstance(error, asyncpg.StringDataRightTruncationError):
        return "A text in the request is too long."
    if isinstance(error, asyncpg.CharacterNotInRepertoireError | asyncpg.UntranslatableCharacterError):
        return "A text in the request holds a character that cannot be stored, such as NUL."
    return "A value in the request is out of range or of a form that cannot be stored."


def _unavailable() -> errors.Unavailable:
    return errors.Unavailable(
        "The database is not available at the moment. Try again shortly.",
        code="database_unavailable",
        retry_after=_RETRY_SECONDS,
    )
