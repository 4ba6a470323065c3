"""The order in which addresses are tried, and the 405 that names every method of its address."""

from collections.abc import Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send


def by_address(routes: Sequence[BaseRoute]) -> list[BaseRoute]:
    """Make one route of all that share an address, the most particular address first.

    `…/{image_id:path}/confirm` must be tried before `…/{image_id:path}`, and `/annotations/batch` before
    `/annotations/{annotation_id}`. A 405 then names every method of its address.
    """
    found: dict[str, dict[str, ASGIApp]] = {}
    others = [route for route in routes if not isinstance(route, Route)]
    for route in routes:
        if isinstance(route, Route):
            found.setdefault(route.path, {}).update(dict.fromkeys(route.methods or (), route.app))
    wide = [compile_path(path)[0] for path in found if ":path}" in path]
    return [
        _route(path, found[path], goes_on=any(pattern.match(path) for pattern in wide))
        for path in sorted(found, key=_particularity)
    ] + others


def _particularity(path: str) -> tuple[int, int]:
    return -path.count("/"), path.count("{")


def _route(path: str, by_method: Mapping[str, ASGIApp], *, goes_on: bool) -> Route:
    route = Route(path, _Address(by_method))
    # An id that holds slashes may end as another address does, and an image may be called `delete`: there the search
    # goes on with the next one. (A path matches its own pattern, too.)
    route.methods = set(by_method) if goes_on else None
    return route


class _Address:
    """The ASGI application of one address."""

    def __init__(self, by_method: Mapping[str, ASGIApp]) -> None:
        self._by_method = by_method

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._by_method.get(scope["method"])
        if app is None:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(self._by_method))})
        await app(scope, receive, send)
