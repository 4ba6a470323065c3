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


class Locked(AppError):
    """423: somebody else holds the image; `lock` says who and until when."""

    status = 423
    code = "image_locked"


class TooMany(AppError):
    """429: too often; `retry_after` seconds."""

    status = 429
    code = "too_many_requests"


class Unavailable(AppError):
    """503: a part that this needs is away; `retry_after` seconds."""

    status = 503
    code = "unavailable"


class Stale(Unavailable):
    """The transaction met a concurrent change (deadlock, serialization, migrated table): run it again."""

    code = "try_again"


class MustWait(Stale):
    """The transaction would have to wait for others who change `project`: run it again, and wait before it begins."""

    code = "project_busy"

    def __init__(self, project: str) -> None:
        super().__init__("Others are changing this project at the moment. Try again shortly.", retry_after=1)
        self.project = project


def invalid(message: str, *loc: str | int, code: str = "invalid") -> Invalid:
    """Make an `Invalid` about one place: `invalid("is empty", "body", "name")`."""
    place = ".".join(str(part) for part in loc)
    return Invalid(
        f"{place}: {message}" if place else message, code=code, errors=[{"loc": list(loc), "message": message}]
    )
