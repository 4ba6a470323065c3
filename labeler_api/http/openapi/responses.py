"""The answers of an operation as OpenAPI describes them: each status, its body, its headers."""

from typing import Any

import msgspec
from starlette.responses import Response

from labeler_api.http.endpoint import Operation

_Described = dict[str, Any]

_ERRORS = {
    400: "Understood and refused",
    401: "No credentials, or none that hold",
    403: "The caller's role is too low",
    404: "Does not exist, or the caller may not know that it does",
    409: "Contradicts the present state",
    413: "The body is over its limit",
    416: "The range is not in the object",
    422: "Wrong shape, type or value",
    423: "Somebody else holds the image",
    429: "Too often",
    500: "A defect of ours; the log knows it by its request id",
    503: "A part that this needs is away",
}

HEADERS: _Described = {
    "X-Request-Id": {
        "required": True,
        "description": "The id of this request in the log: the `X-Request-Id` that the client sent, or a new one.",
        "schema": {"type": "string", "minLength": 8, "maxLength": 64, "pattern": "^[A-Za-z0-9._-]+$"},
    },
    "Retry-After": {
        "required": True,
        "description": "Seconds to wait before the next try.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {
        "required": True,
        "description": "The scheme to log in with.",
        "schema": {"type": "string", "enum": ["Bearer"]},
    },
    "ETag": {
        "required": True,
        "description": "Names this state; send it back as `If-None-Match`.",
        "schema": {"type": "string"},
    },
    "X-Next-Cursor": {
        "description": "The `cursor` of the next page; not there after the last.",
        "schema": {"type": "string"},
    },
    "Content-Disposition": {
        "description": "Whether a browser shows or saves it, and under which name.",
        "schema": {"type": "string"},
    },
    "Content-Range": {
        "required": True,
        "description": "Which part of how many bytes this is.",
        "schema": {"type": "string", "pattern": "^bytes "},
    },
}
_CONFLICT = {
    "current_version": 3,
    "your_version": 2,
    "last_updated_by": 4,
    "last_updated_at": "2026-11-22T10:15:00Z",
}
_LOCK = {
    "image_id": "train/good/001",
    "user_id": 4,
    "locked_at": "2026-11-22T10:15:00Z",
    "expires_at": "2026-11-22T10:20:00Z",
    "heartbeat_at": "2026-11-22T10:15:00Z",
    "user_name": "Nina Annotator",
    "user_email": "annotator@example.com",
}
_FAULT = {"loc": ["body", "name"], "message": "is missing"}
_EXAMPLES: dict[int, tuple[str, str, _Described]] = {
    400: ("owner_cannot_leave", "The owner cannot leave. Transfer the ownership first.", {}),
    401: ("not_authenticated", "Log in first: this call needs the header Authorization: Bearer <token>.", {}),
    403: ("role_too_low", "This needs the role admin; yours is annotator.", {}),
    404: ("annotation_not_found", "There is no annotation 7.", {}),
    409: ("version_conflict", "Somebody changed this annotation meanwhile: it has version 3.", {"conflict": _CONFLICT}),
    413: ("body_too_large", "The body is over the limit of 2097152 bytes.", {}),
    416: ("range_not_satisfiable", "The range begins beyond the end of the object.", {}),
    422: ("invalid", "body.name: is missing", {"errors": [_FAULT]}),
    423: ("image_locked", "Nina Annotator works on this image.", {"lock": _LOCK}),
    429: ("too_many_requests", "Too many attempts. Try again in 30 seconds.", {}),
    500: ("internal_error", "Something went wrong on our side. The log knows it as 8f3c09a1d2e4b765.", {}),
    503: ("database_unavailable", "The database is not available at the moment. Try again shortly.", {}),
}
_OF_STATUS = {401: ["WWW-Authenticate"], 416: ["Content-Range"], 429: ["Retry-After"], 503: ["Retry-After"]}


class ErrorItem(msgspec.Struct):
    """One thing that is wrong with the request."""

    loc: list[str | int]
    message: str


class Conflict(msgspec.Struct):
    """The stored version that a write did not expect."""

    current_version: int
    your_version: int
    last_updated_by: int | None
    last_updated_at: str | None


class Error(msgspec.Struct):
    """Every answer that is not a success. `errors` comes with 422, `conflict` with a version's 409, `lock` with 423."""

    detail: str
    code: str
    request_id: str | None
    errors: list[ErrorItem] | msgspec.UnsetType = msgspec.UNSET
    conflict: Conflict | msgspec.UnsetType = msgspec.UNSET
    lock: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


def errors() -> _Described:
    """Describe each error once, for `components`."""
    return {f"Error{status}": _error_of(status, text) for status, text in _ERRORS.items()}


def _error_of(status: int, text: str) -> _Described:
    return {
        "description": text,
        "headers": _headers("X-Request-Id", *_OF_STATUS.get(status, [])),
        **_json({"$ref": "#/components/schemas/Error"}, _example_of(status)),
    }


def _example_of(status: int) -> _Described:
    code, detail, more = _EXAMPLES[status]
    return {"detail": detail, "code": code, "request_id": "8f3c09a1d2e4b765", **more}


def has_schema(kind: Any) -> bool:
    """Whether an operation's return type is a body that has a JSON schema."""
    return kind not in {None, type(None)} and not (isinstance(kind, type) and issubclass(kind, Response))


def sends_file(operation: Operation) -> bool:
    """Whether an operation answers with the bytes of a file."""
    kind = operation.response_type
    return isinstance(kind, type) and issubclass(kind, Response)


def of(operation: Operation, schema: Any, links: _Described, example: Any = msgspec.UNSET) -> _Described:
    """Describe every answer of an operation; `schema` is its body's."""
    responses: _Described = {str(operation.status): _success(operation, schema, links, example)}
    if sends_file(operation):
        responses["206"] = _file("The range that was asked for", "Content-Range")
    if operation.etag or sends_file(operation):
        headers = _headers("X-Request-Id", "ETag")
        responses["304"] = {"description": "Unchanged since the ETag that the client sent", "headers": headers}
    expected = {*(error.status for error in operation.errors), 422, 500, 503, *([401, 429] if operation.login else [])}
    if operation.body_type is not None or operation.multipart is not None:
        expected.add(413)
    if operation.large:
        expected.add(429)
    responses |= {str(status): _error(status) for status in sorted(expected)}
    if operation.answers_503:
        responses["503"] = {"description": _ERRORS[503], "headers": _headers("X-Request-Id"), **_json(schema)}
    return responses


def _success(operation: Operation, schema: Any, links: _Described, example: Any) -> _Described:
    if sends_file(operation):
        return _file("The file")
    answer: _Described = {"description": "Success", "headers": _headers("X-Request-Id")}
    if operation.etag:
        answer["headers"] |= _headers("ETag")
    if operation.query_type is not None and "cursor" in operation.query_type.__struct_fields__:
        answer["headers"] |= _headers("X-Next-Cursor")
    if has_schema(operation.response_type):
        answer |= _json(schema, example)
    elif operation.status != 204:  # noqa: PLR2004 - No Content
        answer |= _json({"type": "null"}, example)
    if links:
        answer["links"] = links
    return answer


def _headers(*names: str) -> _Described:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _json(schema: Any, example: Any = msgspec.UNSET) -> _Described:
    content = {"schema": schema} if example is msgspec.UNSET else {"schema": schema, "example": example}
    return {"content": {"application/json": content}}


def _file(description: str, *headers: str) -> _Described:
    return {
        "description": description,
        "headers": _headers("X-Request-Id", "ETag", "Content-Disposition", *headers),
        "content": {"*/*": {}},
    }


def _error(status: int) -> _Described:
    return {"$ref": f"#/components/responses/Error{status}"}
