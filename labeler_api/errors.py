"""Every error that a client may see, as one tree. Imports nothing.

`detail` is a sentence for a person, `code` a stable snake_case word for programs, `extra` further
members of the JSON body (`errors`, `conflict`, `lock`).
"""


class AppError(Exception):
    """An answer other than success: HTTP `status`, `code`, `detail`, and members of its own in `extra`."""

    status = 500
    code = "internal_error"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        retry_after: int | None = None,
        **extra: object,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.retry_after = retry_after
        self.extra = extra


class BadRequest(AppError):
    """400: understood, and refused for what it asks."""

    status = 400
    code = "bad_request"


class Unauthenticated(AppError):
    """401: no credentials, or none that hold. Rendered with `WWW-Authenticate: Bearer`."""

    status = 401
    code = "not_authenticated"


class Forbidden(AppError):
    """403: the caller may see the thing, but not do that to it."""

    status = 403
    code = "forbidden"


class NotFound(AppError):
    """404: does not exist, or the caller may not know that it does."""

    status = 404
    code = "not_found"


class Conflict(AppError):
    """409: contradicts the present state."""

    status = 409
    code = "conflict"


class TooLarge(AppError):
    """413: the body is over its limit."""

    status = 413
    code = "too_large"


class RangeNotSatisfiable(AppError):
    """416: the range begins beyond the end of the object."""

    status = 416
    code = "range_not_satisfiable"


class Invalid(AppError):
    """422: wrong shape, type or value; `errors=[{"loc": [...], "message": ...}]` says where."""

    status = 422
    code = "invalid"


class FileRejected(AppError):
    """422: a file of an upload is not taken; `detail` is the reason."""

    status = 422
    code = "file_refused"


class TooManyEntries(FileRejected):
    """422: an archive has more entries than it may have."""


class Locked(AppError):
    """423: somebody else holds the image; `lock` says who and until when."""

    status = 423
    code = "image_locked"


class ImageBeingImported(Locked):
    """423: an import is at work on the image; `lock` says whose, and since when."""


class ImportRunning(Locked):
    """423: another import is at work on the same images."""

    code = "import_running"


class TooMany(AppError):
    """429: too often; `retry_after` seconds."""

    status = 429
    code = "too_many_requests"


class Unavailable(AppError):
    """503: a part that this needs is away; `retry_after` seconds."""

    status = 503
    code = "unavailable"


class RetryTransaction(Unavailable):
    """The transaction met a concurrent change (deadlock, serialization, migrated table): run it again."""

    code = "try_again"


class NothingMatched(RetryTransaction):
    """A write found nothing to write to: it is gone or has another version. The caller finds out which."""

    def __init__(self) -> None:
        super().__init__("Somebody changed this at the same moment. Try again.", retry_after=1)


class RetryInQueue(RetryTransaction):
    """The transaction would have to wait for others who change `project`: run it again, and wait before it begins."""

    code = "project_busy"

    def __init__(self, project: str) -> None:
        super().__init__("Others are changing this project at the moment. Try again shortly.", retry_after=1)
        self.project = project


def invalid(message: str, *loc: str | int, code: str = "invalid") -> Invalid:
    """Make an `Invalid` about one place: `invalid("is empty", "body", "name")` is "The name is empty."."""
    return Invalid(f"{subject(*loc)} {message}.", code=code, errors=[{"loc": list(loc), "message": message}])


_WHOLE = {"body": "The body", "query": "The query of the address", "path": "The address", "header": "The header"}
_CALLED = {
    "email": "e-mail address",
    "user_email": "e-mail address",
    "invitee_email": "e-mail address",
    "q": "search text",
    "content-type": "header Content-Type",
    "if-match": "header If-Match",
    "idempotency-key": "header Idempotency-Key",
}
_NAME_CHARACTERS = 100  # of a name that the sender made up


def subject(*loc: str | int) -> str:
    """Name a place of a request as a sentence begins: "The class name", "The field geometry.points[3]"."""
    place, *steps = [step for step in loc or ("body",) if step != "..."]  # a name that msgspec does not tell
    if not steps:
        return _WHOLE.get(str(place), "The request")
    if len(steps) == 1 and isinstance(steps[0], str):
        name = _shown(steps[0])
        if name in _CALLED:
            return f"The {_CALLED[name]}"
        if not name.endswith("s") and name.replace("_", "").isalpha():  # a plural would not agree with what follows
            return f"The {name.replace('_', ' ')}"
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{_shown(step)}" for step in steps)
    return f"The field {path.removeprefix('.')}"


def _shown(name: str) -> str:
    return "".join(one if one.isprintable() and one != "\\" else "?" for one in name[:_NAME_CHARACTERS])
