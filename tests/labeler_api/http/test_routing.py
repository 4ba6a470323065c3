"""The index of addresses finds what a walk over all of them finds."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from starlette.routing import BaseRoute, Match, Route

from labeler_api.app import API_ROUTES, ROOT_ROUTES
from labeler_api.http.routing import API_PREFIX, Address, IndexedRouter, by_address
from tests.fixtures.api import Api

_ID = "an-id"


def _scope(path: str) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "root_path": ""}


def _walked(routes: Sequence[BaseRoute], path: str) -> str | None:
    for route in routes:
        match, _ = route.matches(_scope(path))
        if match is not Match.NONE and isinstance(route, Route):
            return route.path
    return None


def _addresses() -> list[Address]:
    return [*by_address(API_ROUTES, API_PREFIX), *by_address(ROOT_ROUTES)]


def _paths() -> list[str]:
    """Every address with values of all kinds, an end that it lacks, and an image that ends as others do."""
    found = {"/", "", "/nothing", "//", "/api", API_PREFIX, f"{API_PREFIX}/", "/datasets", "/annotations"}
    found |= {f"{API_PREFIX}/annotations/batch/", f"{API_PREFIX}/image-locks/p/" + "/".join(["x"] * 40) + "/acquire"}
    for route in _addresses():
        for value, tail in ((_ID, _ID), ("7", "a/b/c.png"), ("x", "confirm"), ("x", "a/confirm"), ("delete", "delete")):
            parts = [
                tail if ":path}" in part else value if "{" in part else part
                for part in route.path.strip("/").split("/")
            ]
            path = "/" + "/".join(parts)
            found |= {path, path + "/", path + "/more", path.rpartition("/")[0]}
    return sorted(found)


def test_the_index_finds_what_a_walk_finds() -> None:
    routes = _addresses()
    router = IndexedRouter(routes)
    paths = _paths()
    assert len(paths) > 200
    for path in paths:
        assert _walked(router.candidates(path), path) == _walked(routes, path), path


def test_what_an_address_says_is_text() -> None:
    """The router hands it on as it stands there; Starlette's other kinds would have to be converted."""
    kinds = {type(kind).__name__ for route in _addresses() for kind in route.param_convertors.values()}
    assert kinds == {"StringConvertor", "PathConvertor"}


def test_few_addresses_are_tried() -> None:
    """A walk tries some eighty."""
    router = IndexedRouter(_addresses())
    for path in ("annotations", "annotations/7", "annotations/7/confirm", "image-locks/p/train/1/acquire"):
        assert 1 <= len(router.candidates(f"{API_PREFIX}/{path}")) <= 8, path
    assert len(router.candidates("/media/images/d/train/1")) <= 2


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "nothing", 404), ("PATCH", "annotations", 405), ("GET", "datasets/", 307)]
)
async def test_what_no_address_answers(api: Api, method: str, path: str, status: int) -> None:
    client: httpx.AsyncClient = await api.login("owner")
    answer = await client.request(method, f"/api/v1/{path}")
    assert answer.status_code == status, answer.text
