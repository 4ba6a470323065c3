"""Health: of the process, and of what it needs."""

import asyncio
from collections.abc import Awaitable

from labeler_api.context import Call
from labeler_api.errors import AppError
from labeler_api.health.schemas import DatabasesResponse, HealthResponse, ReadyResponse, RootResponse

_PROBE_SECONDS = 3.0  # a deployment's probe waits about as long; a part that takes longer is not ready
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
    """Probe every part side by side."""
    database, gateway, storage = await asyncio.gather(
        _state(call.db.ping()), _state(call.directory.ping()), _state(call.objects.ping())
    )
    all_good = {database, gateway, storage} == {_OK}
    return ReadyResponse(
        status="ready" if all_good else "not ready",
        labeler_db=database,
        user_gateway=gateway,
        object_store=storage,
    )


async def databases(call: Call) -> DatabasesResponse:
    """Probe the databases of this service."""
    labeler, platform = await asyncio.gather(_state(call.db.ping()), _platform_state(call))
    return DatabasesResponse(platform_db=_connected(platform), labeler_db=_connected(labeler))


async def _platform_state(call: Call) -> str:
    return await _state(call.platform.ping()) if call.platform.configured else "not configured"


def _connected(state: str) -> str:
    return "connected" if state == _OK else state


async def _state(probe: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await probe
    except AppError as error:
        return error.detail
    except TimeoutError:
        return f"no answer within {_PROBE_SECONDS:g} seconds"
    return _OK
