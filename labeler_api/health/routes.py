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
    """Say whether this process should be sent requests

    For balancers and Kubernetes. Answers 503 for what this process alone cannot do: its database is away, it is about
    to end, or MAINTENANCE_MODE is set for it. The user gateway and the object store are looked at as well: when one is
    away the status is `degraded` and the answer 200, since every other process would lack it too.
    """
    state = await service.ready(call)
    return Reply(state, status=503 if state.status == "not ready" else 200)


async def deployable(call: Call) -> Reply[ReadyResponse]:
    """Say whether this process may replace the one before it

    For the check of a deployment, such as Railway's. Answers 503, with the state of each, while the Labeler DB, the
    user gateway or the object store is away.
    """
    state = await service.deployable(call)
    return Reply(state, status=200 if state.status == "ready" else 503)


async def databases(call: Call) -> DatabasesResponse:
    """Test the databases"""
    return await service.databases(call)


routes = [
    endpoint("GET", "/", root, login=False),
    endpoint("GET", "/health", health, login=False),
    endpoint("GET", "/health/ready", ready, login=False, answers_503=True),
    endpoint("GET", "/health/deploy", deployable, login=False, answers_503=True),
    endpoint("GET", "/health/db", databases, login=False),
]
