"""Health: of the process, and of what it needs."""

import asyncio
from collections.abc import Awaitable

from labeler_api.context import Call
from labeler_api.errors import AppError
from labeler_api.health.schemas import DatabasesResponse, HealthResponse, ReadyResponse, RootResponse

_PROBE_SECONDS = 3.0  # a deployment's probe waits about as long; a part that takes longer is not ready
_GLANCE_SECONDS = 0.5  # for a part whose absence is no reason to fail: many a probe waits for one second
_OK = "ok"


def root(call: Call) -> RootResponse:
    """Say what runs here."""
    settings = call.settings
    return RootResponse(
        name=settings.app_name,
        version=settings.app_version,
        status="running",
        environment=settings.environment,
        docs="/docs",
    )


def health(call: Call) -> HealthResponse:
    """Say that the process is up; touches nothing else."""
    return HealthResponse(status="healthy", version=call.settings.app_version, environment=call.settings.environment)


async def ready(call: Call) -> ReadyResponse:
    """Probe every part side by side.

    A gateway that has answered before may be away: people go on working within the grace of the directory, and every
    replica would be taken out of service at once.
    """
    database, gateway, storage = await asyncio.gather(
        _state(call.db.ping()), _gateway_state(call), _state(call.objects.ping())
    )
    needed = {database, storage} if call.directory.has_answered else {database, storage, gateway}
    status = "not ready" if needed != {_OK} else "ready" if gateway == _OK else "degraded"
    return ReadyResponse(status=status, labeler_db=database, user_gateway=gateway, object_store=storage)


async def databases(call: Call) -> DatabasesResponse:
    """Probe the databases of this service."""
    labeler, platform = await asyncio.gather(_state(call.db.ping()), _platform_state(call))
    return DatabasesResponse(platform_db=_connected(platform), labeler_db=_connected(labeler))


async def _gateway_state(call: Call) -> str:
    return await _state(call.directory.ping(), _GLANCE_SECONDS if call.directory.has_answered else _PROBE_SECONDS)


async def _platform_state(call: Call) -> str:
    return await _state(call.platform.ping()) if call.platform.configured else "not configured"


def _connected(state: str) -> str:
    return "connected" if state == _OK else state


async def _state(probe: Awaitable[None], seconds: float = _PROBE_SECONDS) -> str:
    try:
        async with asyncio.timeout(seconds):
            await probe
    except AppError as error:
        return error.detail
    except TimeoutError:
        return f"no answer within {seconds:g} seconds"
    return _OK
