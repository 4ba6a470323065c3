"""The index of addresses finds what a walk over all of them finds."""

from typing import Any

import httpx
import pytest
from starlette.routing import BaseRoute, Match, Route

from labeler_api.app import API_ROUTES
from labeler_api.http.routing import IndexedRouter, by_address
from tests.fixtures.api import Api

_ID = "an-id"


def _scope(path: str) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "root_path": ""}


def _walked(routes: list[BaseRoute], path: str) -> str | None:
    for route in routes:
        match, _ = route.matches(_scope(path))
        if match is not Match.NONE and isinstance(route, Route):
            return route.path
    return None


def _paths() -> list[str]:
    """Every address with values of all kinds, an end that it lacks, and an image that ends as others do."""
    found = {"/", "", "/nothing", "//", "/annotations/batch/", "/image-locks/p/" + "/".join(["x"] * 40) + "/acquire"}
    for route in API_ROUTES:
        assert isinstance(route, Route)
        for value, tail in ((_ID, _ID), ("7", "a/b/c.png"), ("x", "confirm"), ("x", "a/confirm"), ("delete", "delete")):
            parts = [
                tail if ":path}" in part else value if "{" in part else part
                for part in route.path.strip("/").split("/")
            ]
            path = "/" + "/".join(parts)
            found |= {path, path + "/", path + "/more", path.rpartition("/")[0]}
    return sorted(found)


def test_the_index_finds_what_a_walk_finds() -> None:
    routes = by_address(API_ROUTES)
    router = IndexedRouter(routes)
    paths = _paths()
    assert len(paths) > 200
    for path in paths:
        assert _walked(list(router.candidates(path)), path) == _walked(routes, path), path


def test_few_addresses_are_tried() -> None:
    """A walk tries some eighty."""
    router = IndexedRouter(by_address(API_ROUTES))
    for path in ("/annotations", "/annotations/7", "/annotations/7/confirm", "/image-locks/p/train/1/acquire"):
        assert 1 <= len(router.candidates(path)) <= 8, path


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "nothing", 404), ("PATCH", "annotations", 405), ("GET", "datasets/", 307)]
)
async def test_what_no_address_answers(api: Api, method: str, path: str, status: int) -> None:
    client: httpx.AsyncClient = await api.login("owner")
    answer = await client.request(method, f"/api/v1/{path}")
    assert answer.status_code == status, answer.text
