"""Which address a request is for: the order in which they are tried, and the 405 that names every method of one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route, Router, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

API_PREFIX = "/api/v1"


class Address(Route):
    """All that is offered at one address, by its method."""

    def __init__(self, path: str, by_method: Mapping[str, ASGIApp], *, goes_on: bool) -> None:
        super().__init__(path, _Offered(by_method))
        # An id that holds slashes may end as another address does, and an image may be called `delete`: there the
        # search goes on with the next one. (A path matches its own pattern, too.)
        self.methods = set(by_method) if goes_on else None


class IndexedRouter(Router):
    """Starlette's router, which tries only those addresses that have the same first segment and as many of them.

    What none of them answers, Starlette's own walk over all of them does: a 404, a redirect to the other slash.
    """

    def __init__(self, routes: Sequence[BaseRoute], lifespan: Callable[..., Any] | None = None) -> None:
        super().__init__(routes, lifespan=lifespan)
        mine = [route for route in self.routes if isinstance(route, Address)]
        # One more than the longest has: from there on only what takes a whole path fits.
        self._most = 1 + max((route.path.count("/") for route in mine), default=0)
        self._candidates = _by_shape(mine, self._most)

    def candidates(self, path: str) -> tuple[Address, ...]:
        """The addresses that may fit a path, in the order in which they are tried."""
        return self._candidates.get((_first(path), min(path.count("/"), self._most)), ())

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to the first address that fits."""
        if scope["type"] == "http":
            path, method = scope["path"], scope["method"]
            for address in self.candidates(path):
                found = address.path_regex.match(path)
                if found is not None and (address.methods is None or method in address.methods):
                    scope["route"] = address
                    scope["path_params"] = found.groupdict()  # texts: nothing else stands in our addresses
                    await address.app(scope, receive, send)
                    return
        await super().app(scope, receive, send)


def _first(path: str) -> str:
    """The segment that tells most addresses apart: of the API's the one behind the prefix."""
    return path.removeprefix(API_PREFIX)[1:].split("/", 1)[0]


def _by_shape(routes: Sequence[Address], most: int) -> dict[tuple[str, int], tuple[Address, ...]]:
    """Note which addresses a path may have, by its first segment and its slashes; `/{id}` is of any first segment."""
    found: dict[tuple[str, int], list[Address]] = {}
    firsts = {_first(route.path) for route in routes}
    for route in routes:
        own, least = _first(route.path), route.path.count("/")
        for slashes in range(least, most + 1) if ":path}" in route.path else (least,):
            for first in firsts if "{" in own else (own,):
                found.setdefault((first, slashes), []).append(route)
    return {shape: tuple(fitting) for shape, fitting in found.items()}


def by_address(routes: Sequence[BaseRoute], prefix: str = "") -> list[Address]:
    """Make one route of all that share an address, behind a prefix, the most particular address first.

    `…/{image_id:path}/confirm` must be tried before `…/{image_id:path}`, and `/annotations/batch` before
    `/annotations/{annotation_id}`. A 405 then names every method of its address.
    """
    found: dict[str, dict[str, ASGIApp]] = {}
    for route in routes:
        assert isinstance(route, Route)  # noqa: S101 - `endpoint` makes no others
        found.setdefault(prefix + route.path, {}).update(dict.fromkeys(route.methods or (), route.app))
    wide = [compile_path(path)[0] for path in found if ":path}" in path]
    return [
        Address(path, found[path], goes_on=any(pattern.match(path) for pattern in wide))
        for path in sorted(found, key=_particularity)
    ]


def _particularity(path: str) -> tuple[int, int]:
    return -path.count("/"), path.count("{")


class _Offered:
    """The ASGI application of one address."""

    def __init__(self, by_method: Mapping[str, ASGIApp]) -> None:
        self._by_method = by_method

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._by_method.get(scope["method"])
        if app is None:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(self._by_method))})
        await app(scope, receive, send)
