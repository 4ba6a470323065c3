"""OpenAPI 3.1, generated from the routes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.routing import BaseRoute

from labeler_api.errors import RangeNotSatisfiable
from labeler_api.http.endpoint import Link, Operation, operation_of
from labeler_api.http.openapi import responses
from labeler_api.http.openapi import schemas as openapi_schemas

Document = dict[str, Any]

_DESCRIPTION = """
Datasets of images, projects with their tasks and classes, locks, annotations with their history, and published
versions.

Every answer that is not a success is JSON: `detail` is a sentence for a person, `code` a stable word for programs,
`request_id` the request's name in the log. Times are RFC 3339 with an offset. Where a `project_id` stands in an
address or a body, the id of its dataset means the same. Unknown members and parameters are ignored. A JSON body is
UTF-8, nested at most 32 levels deep, without NUL and without equal names in one object.
"""

_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": (
        "Any text of the client's, such as a UUID, new with each new request. A request that is sent again with its key"
        " within 24 hours makes nothing twice and answers what it answered; another request with the same key is"
        " refused with 422 and the code `idempotency_key_reused`."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}

_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "An ETag that the client has: 304 when it still holds.",
    "schema": {"type": "string"},
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": 'The version that the write expects, as in `"3"`; 409 when it is another by now.',
    "schema": {"type": "string", "pattern": r'^(\*|(W/)?"[0-9]{1,9}"|[0-9]{1,9})$'},
}
_RANGE = {
    "name": "Range",
    "in": "header",
    "required": False,
    "description": "One range of bytes, as in `bytes=0-99`; anything else is answered with the whole.",
    "schema": {"type": "string"},
}


@dataclass(frozen=True, slots=True)
class Reference:
    """What the routes do not say. Examples by operationId, with `parameters`, `request` and `response`."""

    tags: Mapping[str, str] = field(default_factory=dict)
    examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def document(mounted: Sequence[tuple[str, BaseRoute]], reference: Reference) -> Document:
    """Describe routes, each with the prefix under which it is mounted."""
    found = [(prefix, operation) for prefix, route in mounted if (operation := operation_of(route)) is not None]
    types = _types([operation for _, operation in found])
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    refs = dict(zip(map(id, types), schemas, strict=True))
    refined = [kind for _, operation in found for kind in _request_types(operation) if kind is not operation.path_type]
    openapi_schemas.refine([refs[id(kind)] for kind in refined], components)
    paths: dict[str, dict[str, Any]] = {}
    for prefix, operation in found:
        path = prefix + operation.path.replace(":path}", "}")
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, refs, components, reference)
    in_parameters = {_name(refs[id(kind)]) for _, found_one in found for kind in _parameter_types(found_one)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Image Labeler API", "version": "0.1.0", "description": _DESCRIPTION.strip()},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in reference.tags.items()],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {name: components[name] for name in sorted(components.keys() - in_parameters)},
            "responses": responses.errors(),
            "headers": responses.HEADERS,
            "securitySchemes": {
                "HTTPBearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The `access_token` of `POST /api/v1/auth/login`.",
                }
            },
        },
    }


def _types(operations: Sequence[Operation]) -> list[Any]:
    """Every type that the document needs a schema of; the same object is asked for once."""
    types: list[Any] = [responses.Error]
    for operation in operations:
        types += _request_types(operation)
        if responses.has_schema(operation.response_type):
            types.append(operation.response_type)
    return types


def _parameter_types(operation: Operation) -> list[type[msgspec.Struct]]:
    return [kind for kind in (operation.path_type, operation.query_type) if kind is not None]


def _request_types(operation: Operation) -> list[Any]:
    kinds = (*_parameter_types(operation), operation.body_type, operation.multipart)
    return [kind for kind in kinds if kind is not None]


def operation_id(operation: Operation) -> str:
    """Name an operation as the document does."""
    return f"{operation.tag}_{operation.handler.__name__}"


def _operation(
    operation: Operation, refs: dict[int, Any], components: dict[str, Any], reference: Reference
) -> dict[str, Any]:
    name = operation_id(operation)
    examples = reference.examples.get(name, {})
    schema = refs.get(id(operation.response_type))
    links = {link.target: _link(link) for link in operation.links}
    described: dict[str, Any] = {
        "operationId": name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": _parameters(operation, refs, components, examples.get("parameters", {})),
        "responses": responses.of(operation, schema, links, examples.get("response", msgspec.UNSET)),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.login:
        described["security"] = [{"HTTPBearer": []}]
    if operation.body_type is not None:
        described["requestBody"] = _body("application/json", refs[id(operation.body_type)], examples)
    elif operation.multipart is not None:
        described["requestBody"] = _body("multipart/form-data", refs[id(operation.multipart)], examples)
    return described


def _link(link: Link) -> dict[str, Any]:
    described: dict[str, Any] = {"operationId": link.target}
    if link.parameters:
        described["parameters"] = dict(link.parameters)
    if link.body:
        described["requestBody"] = dict(link.body)
    return described


def _body(media_type: str, schema: Any, examples: Mapping[str, Any]) -> dict[str, Any]:
    content = {"schema": schema}
    if "request" in examples:
        content["example"] = examples["request"]
    return {"required": True, "content": {media_type: content}}


def _parameters(
    operation: Operation, refs: dict[int, Any], components: dict[str, Any], examples: Mapping[str, Any]
) -> list[dict[str, Any]]:
    parameters = _headers(operation)
    for place, kind in (("path", operation.path_type), ("query", operation.query_type)):
        if kind is None:
            continue
        schema = _resolved(refs[id(kind)], components)
        required = set(schema.get("required", []))
        for name, given in schema.get("properties", {}).items():
            in_path = place == "path"
            greedy = f"{{{name}:path}}" in operation.path
            described = {
                "name": name,
                "in": place,
                "required": in_path or name in required,
                "schema": openapi_schemas.in_path(given, greedy=greedy) if in_path else given,
            }
            parameters.append(described | ({"example": examples[name]} if name in examples else {}))
    return parameters


def _headers(operation: Operation) -> list[dict[str, Any]]:
    headers = []
    if operation.idempotent:
        headers.append(_IDEMPOTENCY_KEY)
    if operation.etag or responses.sends_file(operation):
        headers.append(_IF_NONE_MATCH)
    if operation.if_match:
        headers.append(_IF_MATCH)
    if RangeNotSatisfiable in operation.errors:
        headers.append(_RANGE)
    return [dict(header) for header in headers]


def _resolved(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    name = _name(schema)
    resolved: dict[str, Any] = components[name] if name else schema
    return resolved


def _name(schema: dict[str, Any]) -> str:
    text: str = schema.get("$ref", "")
    return text.rpartition("/")[2]
