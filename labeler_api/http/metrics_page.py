"""`GET /metrics`, for Prometheus. No operation of the contract, so not in the OpenAPI document."""

import asyncio
import hmac
from ipaddress import ip_address

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labeler_api.context import Services
from labeler_api.errors import NotFound, Unauthenticated
from labeler_api.settings import Settings


async def metrics(request: Request) -> Response:
    """Return the metrics of this process, and of the other workers."""
    services: Services = request.app.state.services
    _admit(request, services.settings)
    # In a thread: with several workers it reads some megabytes of files.
    text = await asyncio.to_thread(services.instruments.metrics.text)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})


def _admit(request: Request, settings: Settings) -> None:
    """Let in who knows METRICS_TOKEN. Without one: this machine, and in production nobody."""
    if settings.metrics_token:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        known = hmac.compare_digest(token.strip().encode(), settings.metrics_token.encode())
        if scheme.lower() != "bearer" or not known:
            raise Unauthenticated("This needs the header Authorization: Bearer <METRICS_TOKEN>.")
    elif settings.environment in {"staging", "production"} or not _is_this_machine(request):
        raise NotFound("Not Found")


def _is_this_machine(request: Request) -> bool:
    try:
        address = ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)  # an IPv4 client of a socket that is bound to ::
    return (mapped or address).is_loopback


routes = [Route("/metrics", metrics, methods=["GET"])]
