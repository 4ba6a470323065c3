"""Root and health calls (contract#health)."""

from starlette.requests import Request

from labeler_api.context import Call
from labeler_api.health import service
from labeler_api.health.schemas import DatabasesResponse, HealthResponse, ReadyResponse, RootResponse
from labeler_api.http.endpoint import Encoded, Reply, endpoint
from labeler_api.http.pages.front import front
from labeler_api.http.pages.page import prefers_html


async def root(call: Call, request: Request) -> Reply[RootResponse]:
    """Say what runs here

    A browser, which prefers `text/html`, gets a page that says the same and links to everything.
    """
    if prefers_html(request.headers.get("accept", "")):
        page = front(call.settings)
        return Reply(Encoded(page.body), headers=page.headers)
    return Reply(service.root(call), headers={"Vary": "Accept, Accept-Encoding"})


async def health(call: Call) -> HealthResponse:
    """Say that the process is up"""
    return service.health(call)


async def ready(call: Call) -> Reply[ReadyResponse]:
    """Test the Labeler DB, the user gateway and the object store

    Answers 503, with the state of each, when one of them is down. A user gateway that has answered since the start may
    be away: the status is `degraded` then, and the answer 200, since people go on working for a while.
    """
    state = await service.ready(call)
    return Reply(state, status=503 if state.status == "not ready" else 200)


async def databases(call: Call) -> DatabasesResponse:
    """Test the databases"""
    return await service.databases(call)


routes = [
    endpoint("GET", "/", root, login=False),
    endpoint("GET", "/health", health, login=False),
    endpoint("GET", "/health/ready", ready, login=False, answers_503=True),
    endpoint("GET", "/health/db", databases, login=False),
]
