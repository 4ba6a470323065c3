"""A route as data: `endpoint("POST", "/datasets", create, status=201)`.

The handler's signature says the rest, and OpenAPI is generated from the same: `call` is the request,
parameters named in the path are path parameters, `query` a Struct for the query string, `body` a Struct
for the JSON body, `request` the raw Starlette request for what streams. It returns a Struct, a list of
them, None (with status 204), a `Reply` to add headers, or a Starlette Response.
"""

import asyncio
import gzip
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from labeler_api.context import Call, IdempotencyKey, Services
from labeler_api.errors import AppError, RetryInQueue, RetryTransaction
from labeler_api.http.authentication import authenticate
from labeler_api.http.input.decoding import MOST_VALUES, convert, decode_json, idempotency_key, query_values, read_json
from labeler_api.http.input.header_lookup import EndpointRequest
from labeler_api.http.input.json_rules import SHORT_BYTES
from labeler_api.http.response import EncodedResponse, Field
from labeler_api.http.response import encoded as encode_fields
from labeler_api.http.server.pacing import PIECE_BYTES, PacedResponse

T = TypeVar("T")

_GZIP_FROM_BYTES = 2048  # below it the saving is less than one packet
_GZIP_IN_THREAD_FROM_BYTES = 64 * 1024  # above it compressing takes a millisecond and more of the event loop
# Without a token: the longest address and password there are take 15 KiB when every character is escaped.
_ANONYMOUS_JSON_BYTES = 16 * 1024
_GZIP_LEVEL = 3  # JSON of a thousand boxes: 1.5 ms to a twelfth; 4 takes 2.7 ms for a twentieth less
_NOT_STORED = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
_POLLED = {"Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
_ENCODED = {True: tuple(encode_fields(_POLLED)), False: tuple(encode_fields(_NOT_STORED))}

# Runs of a handler that meets concurrent changes (`RetryTransaction`). Two were sometimes too few while another user
# deleted and made the project again.
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Link:
    """Where an answer leads: the operationId of a next call, and its `parameters` and members of its `body`.

    The values are runtime expressions of OpenAPI, such as `$response.body#/id`.
    """

    target: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, str] = field(default_factory=dict)


def links_to(parameters: Mapping[str, str], *targets: str) -> list[Link]:
    """Make links to several calls that take the same parameters."""
    return [Link(target, parameters) for target in targets]


@dataclass(slots=True)
class Encoded(Generic[T]):
    """A `T` that is JSON already. Its hash and its compressed form stay here for the next answer."""

    body: bytes
    gzipped: bytes | None = None
    etag: str | None = None


@dataclass(slots=True)
class Reply(Generic[T]):
    """A value with headers or a status of its own; an `ETag` among the headers replaces the hash of the body."""

    value: T | Encoded[T]
    headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """What is known of a route; dispatching and OpenAPI read it."""

    method: str
    path: str
    handler: Callable[..., Awaitable[Any]]
    status: int
    login: bool
    etag: bool
    path_type: type[msgspec.Struct] | None
    query_type: type[msgspec.Struct] | None
    body_type: Any
    response_type: Any
    raw: bool
    errors: tuple[type[AppError], ...]
    tag: str
    summary: str
    description: str
    links: tuple[Link, ...] = ()
    multipart: type[msgspec.Struct] | None = None
    idempotent: bool = False
    max_json_bytes: int = 0
    writes: bool = False
    if_match: bool = False
    answers_503: bool = False
    large: bool = False
    long: bool = False

    @property
    def most_values(self) -> int:
        """How many values a JSON body may have. A point, of which large bodies consist, has three in six bytes."""
        return max(MOST_VALUES, self.max_json_bytes // 2)

    def json_limit(self, usual: int) -> int:
        """How many bytes a JSON body may have; `usual` is the setting MAX_JSON_BYTES."""
        return max(usual, self.max_json_bytes) if self.login else min(usual, _ANONYMOUS_JSON_BYTES)


def endpoint(
    method: str,
    path: str,
    handler: Callable[..., Awaitable[Any]],
    *,
    status: int = 200,
    login: bool = True,
    etag: bool = False,
    errors: tuple[type[AppError], ...] = (),
    tag: str = "",
    links: Sequence[Link] = (),
    multipart: type[msgspec.Struct] | None = None,
    idempotent: bool = False,
    max_json_bytes: int = 0,
    reads: bool = False,
    if_match: bool = False,
    answers_503: bool = False,
    large: bool = False,
    long: bool = False,
) -> Route:
    """Make a route. `login=False` needs no token; `etag=True` is for lists that clients poll.

    `errors` are those that only this call answers with; `links` lead from its answer to the next call; `tag` is the
    group in the OpenAPI document, else the handler's feature.

    `idempotent=True` takes the header Idempotency-Key, which the use case has to honour by `idempotency.keys.once`;
    `max_json_bytes` is for bodies that are greater than MAX_JSON_BYTES by their nature; `reads=True` for a POST that
    changes nothing, and is answered in maintenance mode; `if_match=True` says that the use case honours If-Match, and
    `answers_503=True` that the handler's own value is answered with 503 too. `large=True` is for answers that hold what
    clients stored: they find room first (labeler_api/limits/answer_memory.py). `long=True` is for work that may take
    longer than the thirty seconds of a request: it has limits of its own.
    """
    hints = get_type_hints(handler, include_extras=True)
    summary, _, description = (inspect.getdoc(handler) or "").partition("\n\n")
    operation = Operation(
        method=method,
        path=path,
        handler=handler,
        status=status,
        login=login,
        etag=etag,
        path_type=_path_type(handler, path, hints),
        query_type=hints.get("query"),
        body_type=hints.get("body"),
        response_type=_unwrapped(hints.get("return")),
        raw="request" in hints,
        errors=errors,
        tag=tag or handler.__module__.split(".")[1],
        summary=" ".join(summary.split()).rstrip("."),
        description=" ".join(description.split()),
        links=tuple(links),
        multipart=multipart,
        idempotent=idempotent,
        max_json_bytes=max_json_bytes,
        writes=method != "GET" and not reads,
        if_match=if_match,
        answers_503=answers_503,
        large=large,
        long=long,
    )
    route = Route(path, _Endpoint(operation), methods=[method], name=f"{operation.tag}.{handler.__name__}")
    route.methods = {method}  # Starlette adds HEAD to GET; the frontend's contract does not offer it
    return route


def operation_of(route: object) -> Operation | None:
    """What `endpoint` noted about a route, or None for a route of another kind."""
    app = getattr(route, "endpoint", None)
    return app.operation if isinstance(app, _Endpoint) else None


def _path_type(
    handler: Callable[..., Awaitable[Any]], path: str, hints: Mapping[str, Any]
) -> type[msgspec.Struct] | None:
    """The parameters of a handler that stand in its path, as one type. Raises TypeError for one that does not."""
    names = [name for name in inspect.signature(handler).parameters if name not in {"call", "query", "body", "request"}]
    for name in names:
        if "{" + name not in path:
            raise TypeError(f"{handler.__module__}.{handler.__name__}: parameter {name!r} is not in {path}")
    if not names:
        return None
    told_apart = f"{handler.__module__.replace('.', '_')}_{handler.__name__}_Path"  # OpenAPI tells types apart by name
    return msgspec.defstruct(told_apart, [(name, hints[name]) for name in names])


def _unwrapped(kind: Any) -> Any:
    """What a `Reply[X]` carries."""
    return get_args(kind)[0] if get_origin(kind) is Reply else kind


class _Endpoint:
    """The ASGI application behind one route."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.__name__ = operation.handler.__name__
        self._decoder: msgspec.json.Decoder[Any] | None = (
            msgspec.json.Decoder(operation.body_type) if operation.body_type is not None else None
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = EndpointRequest(scope, receive)
        services: Services = scope["app"].state.services
        call = await _call(request, services, login=self.operation.login, long=self.operation.long)
        if self.operation.writes:
            services.maintenance.require_off()
        arguments, body = await self._arguments(call, request)
        if self.operation.idempotent:
            key = _idempotency(self.operation, request, body)
            call = replace(call, idempotency=key) if key is not None else call
        if not self.operation.large:
            await (await self._response(call, request, arguments))(scope, receive, send)
            return
        async with services.answers.page(call.user_id) as room:
            response = await self._response(call, request, arguments)
            room.needs(len(response.body))
            await response(scope, receive, send)

    async def _response(self, call: Call, request: Request, arguments: dict[str, Any]) -> Response:
        result = await self._handled(call, arguments)
        return result if isinstance(result, Response) else await _respond(self.operation, request, result)

    async def _handled(self, call: Call, arguments: dict[str, Any]) -> Any:
        for last in (False,) * (_TRIES - 1) + (True,):
            try:
                return await self.operation.handler(call, **arguments)
            except RetryTransaction as error:
                if last or self.operation.raw:  # a raw handler has read its body already
                    raise
                if isinstance(error, RetryInQueue):
                    call = replace(call, project=error.project)
        raise AssertionError("the last try returns or raises")

    async def _arguments(self, call: Call, request: Request) -> tuple[dict[str, Any], bytes]:
        """Return what the handler takes, and the body as it was sent."""
        operation, arguments, body = self.operation, {}, b""
        if operation.path_type is not None:
            path = convert(request.path_params, operation.path_type, "path")
            arguments.update({name: getattr(path, name) for name in operation.path_type.__struct_fields__})
        if operation.query_type is not None:
            arguments["query"] = convert(query_values(request), operation.query_type, "query")
        if self._decoder is not None:
            body = await read_json(request, operation.json_limit(call.settings.max_json_bytes))
            arguments["body"] = await self._decode(call, body, self._decoder)
        if operation.raw:
            arguments["request"] = request
        return arguments, body

    async def _decode(self, call: Call, body: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
        if len(body) <= SHORT_BYTES or call.user is None:  # without a token it is short
            return decode_json(body, decoder)
        return await call.services.json_threads.run(
            call.user_id, decode_json, body, decoder, self.operation.most_values
        )


async def _call(request: Request, services: Services, *, login: bool, long: bool) -> Call:
    principal = await authenticate(request, services) if login else None
    if principal is not None:
        request.scope["state"]["user_id"] = principal.user_id
    client, headers = request.scope["client"], request.headers
    return Call(
        services=services,
        request_id=request.scope["state"]["request_id"],
        client=client[0] if client else "unknown",
        user=principal,
        if_none_match=headers.get("if-none-match"),
        if_match=headers.get("if-match"),
        long=long,
    )


def _idempotency(operation: Operation, request: Request, body: bytes) -> IdempotencyKey | None:
    """Read the key; the digest is of all that makes the request what it is, but for a body that is streamed."""
    key = idempotency_key(request)
    if key is None:
        return None
    digest = sha256(f"{request.url.path}?{request.url.query}\0".encode("utf-8", "surrogatepass") + body).hexdigest()
    return IdempotencyKey(key=key, operation=f"{operation.method} {operation.path}", request_sha256=digest)


async def _respond(operation: Operation, request: Request, result: Any) -> Response:
    reply = result if isinstance(result, Reply) else Reply(result)
    if operation.status == 204:  # noqa: PLR2004 - No Content
        return Response(status_code=204, headers=reply.headers)
    encoded = reply.value if isinstance(reply.value, Encoded) else Encoded(msgspec.json.encode(reply.value))
    body, headers = encoded.body, reply.headers
    if operation.etag and "ETag" not in headers:
        encoded.etag = encoded.etag or f'W/"{blake2b(body, digest_size=16).hexdigest()}"'
        headers = {**headers, "ETag": encoded.etag}
    fields = _fields(operation, headers)
    if "ETag" in headers and matches(request.headers.get("if-none-match"), headers["ETag"]):
        return EncodedResponse(b"", 304, fields)
    if len(body) >= _GZIP_FROM_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        fields.append((b"content-encoding", b"gzip"))
        body = encoded.gzipped = encoded.gzipped or await _gzip(body)
    kind = PacedResponse if len(body) > PIECE_BYTES else EncodedResponse
    return kind.of(body, reply.status or operation.status, fields)


def _fields(operation: Operation, headers: Mapping[str, str]) -> list[Field]:
    """The header fields of an answer: those that all have, unless it has its own."""
    usual = _POLLED if operation.etag else _NOT_STORED
    if usual.keys().isdisjoint(headers):
        return [*_ENCODED[operation.etag], *encode_fields(headers)]
    return encode_fields({**usual, **headers})


def matches(if_none_match: str | None, etag: str) -> bool:
    """Compare weakly, as RFC 9110, 13.1.2 says for If-None-Match."""
    if not if_none_match:
        return False
    wanted = etag.removeprefix("W/")
    return if_none_match.strip() == "*" or wanted in (
        part.strip().removeprefix("W/") for part in if_none_match.split(",")
    )


async def _gzip(body: bytes) -> bytes:
    if len(body) < _GZIP_IN_THREAD_FROM_BYTES:
        return gzip.compress(body, _GZIP_LEVEL, mtime=0)
    return await asyncio.to_thread(gzip.compress, body, _GZIP_LEVEL, mtime=0)
