"""The one renderer of errors: JSON with `detail` (a sentence), `code`, `request_id`, and what the error adds."""

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from labeler_api.errors import AppError

# A sentence that a person reads. Some quote what was sent, which may be two megabytes.
_DETAIL_CHARACTERS = 2000
_CODES = {404: "route_not_found", 405: "method_not_allowed", 413: "too_large"}
_TEXTS = {
    404: "There is nothing at this address.",
    405: "This address does not offer that method.",
    413: "The body is too large.",
}


def render(error: AppError, request_id: str) -> Response:
    """Make the response of an application error."""
    headers = {}
    if error.status == 401:  # noqa: PLR2004 - RFC 9110, 15.5.2 asks for the challenge
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return _json(error.status, error.detail, error.code, request_id, headers, error.extra)


def render_http(error: HTTPException, request_id: str) -> Response:
    """Make the response of what Starlette raises itself: no route, wrong method, a body over its limit."""
    code = _CODES.get(error.status_code, "http_error")
    text = _TEXTS.get(error.status_code, error.detail)
    return _json(error.status_code, text, code, request_id, dict(error.headers or {}), {})


def unexpected(request_id: str) -> Response:
    """The answer to a defect of ours: nothing but the id under which the log has the rest."""
    text = f"Something went wrong on our side. The log knows it as {request_id}."
    return _json(500, text, "internal_error", request_id, {}, {})


def _json(
    status: int, detail: str, code: str, request_id: str, headers: dict[str, str], extra: dict[str, object]
) -> Response:
    if len(detail) > _DETAIL_CHARACTERS:
        detail = detail[:_DETAIL_CHARACTERS] + " …"
    body = msgspec.json.encode({"detail": detail, "code": code, "request_id": request_id, **extra})
    return Response(body, status, {"Cache-Control": "no-store", **headers}, media_type="application/json")
