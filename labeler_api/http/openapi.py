"""OpenAPI 3.1, generated from the routes, and a page that shows it without the Internet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

from labeler_api.http.endpoint import Operation, operation_of

Document = dict[str, Any]

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
_RETRY = {429, 503}

# No inline script but the page's own, no foreign host; `data:` because the bundle's style sheet embeds its icons.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'"
)

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Image Labeler API</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css"><link rel="icon" href="/docs/assets/favicon-32x32.png"></head>
<body><div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body>
</html>
"""

_START = """window.ui = SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true,
  displayRequestDuration: true, persistAuthorization: true, presets: [SwaggerUIBundle.presets.apis]});
"""


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


def document(mounted: Sequence[tuple[str, BaseRoute]]) -> Document:
    """Describe routes, each with the prefix under which it is mounted."""
    found = [(prefix, operation) for prefix, route in mounted if (operation := operation_of(route)) is not None]
    types = _types([operation for _, operation in found])
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    refs = dict(zip(map(id, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for prefix, operation in found:
        path = prefix + operation.path.replace(":path}", "}")
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, refs, components)
    in_parameters = {_name(refs[id(kind)]) for _, found_one in found for kind in _parameter_types(found_one)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Image Labeler API",
            "version": "0.1.0",
            "description": "Datasets, projects, images, locks, annotations and published versions.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {name: components[name] for name in sorted(components.keys() - in_parameters)},
            "securitySchemes": {"HTTPBearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def routes(description: Document) -> list[BaseRoute]:
    """Serve the document and the page."""
    body = msgspec.json.encode(description)

    async def openapi_json(_request: Request) -> Response:
        return Response(body, media_type="application/json")

    async def page(_request: Request) -> Response:
        return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _PAGE_POLICY})

    async def start(_request: Request) -> Response:
        return Response(_START, media_type="text/javascript")

    async def redoc(_request: Request) -> Response:
        return RedirectResponse("/docs")

    return [
        Route("/openapi.json", openapi_json),
        Route("/docs", page),
        Route("/redoc", redoc),
        Route("/docs/start.js", start),
        Mount("/docs/assets", StaticFiles(directory=Path(swagger_ui_path))),
    ]


def _types(operations: Sequence[Operation]) -> list[Any]:
    """Every type that the document needs a schema of; the same object is asked for once."""
    types: list[Any] = [Error]
    for operation in operations:
        types += [
            kind
            for kind in (*_parameter_types(operation), operation.body_type, operation.multipart)
            if kind is not None
        ]
        if _has_schema(operation.response_type):
            types.append(operation.response_type)
    return types


def _parameter_types(operation: Operation) -> list[type[msgspec.Struct]]:
    return [kind for kind in (operation.path_type, operation.query_type) if kind is not None]


def _has_schema(kind: Any) -> bool:
    return kind not in {None, type(None)} and not (isinstance(kind, type) and issubclass(kind, Response))


def _operation(operation: Operation, refs: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": f"{operation.tag}_{operation.handler.__name__}",
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": _parameters(operation, refs, components),
        "responses": _responses(operation, refs),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.login:
        described["security"] = [{"HTTPBearer": []}]
    if operation.body_type is not None:
        described["requestBody"] = _body("application/json", refs[id(operation.body_type)])
    elif operation.multipart is not None:
        described["requestBody"] = _body("multipart/form-data", refs[id(operation.multipart)])
    return described


def _body(media_type: str, schema: Any) -> dict[str, Any]:
    return {"required": True, "content": {media_type: {"schema": schema}}}


def _parameters(operation: Operation, refs: dict[int, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    parameters = []
    for place, kind in (("path", operation.path_type), ("query", operation.query_type)):
        if kind is None:
            continue
        schema = _resolved(refs[id(kind)], components)
        required = set(schema.get("required", []))
        parameters += [
            {"name": name, "in": place, "required": place == "path" or name in required, "schema": field}
            for name, field in schema.get("properties", {}).items()
        ]
    return parameters


def _resolved(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    name = _name(schema)
    resolved: dict[str, Any] = components[name] if name else schema
    return resolved


def _name(schema: dict[str, Any]) -> str:
    text: str = schema.get("$ref", "")
    return text.rpartition("/")[2]


def _responses(operation: Operation, refs: dict[int, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Success"}
    if _has_schema(operation.response_type):
        answer["content"] = {"application/json": {"schema": refs[id(operation.response_type)]}}
    responses = {str(operation.status): answer}
    if operation.etag:
        responses["304"] = {"description": "Unchanged since the ETag that the client sent"}
    expected = {*operation.errors, 422, 500, 503, *([401] if operation.login else [])}
    if operation.body_type is not None or operation.multipart is not None:
        expected.add(413)
    for status in sorted(expected):
        responses[str(status)] = _error_response(status)
    return responses


def _error_response(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": _ERRORS[status],
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    if status in _RETRY:
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait"}}
    return response
