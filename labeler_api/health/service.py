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
    """Say whether this process can do what others like it can.

    Without the gateway or the object store no process could do more: were that a reason to fail, a balancer would
    leave all of them at once, and people could not work on with what the caches hold.
    """
    process = _process_state(call)
    database, gateway, storage = await _parts(call, _GLANCE_SECONDS)
    able = process == _OK and database == _OK
    status = "not ready" if not able else "ready" if gateway == storage == _OK else "degraded"
    return _shown(call, status, process, (database, gateway, storage))


async def deployable(call: Call) -> ReadyResponse:
    """Say whether this process may take over from the one before it: with every part there."""
    process = _process_state(call)
    parts = await _parts(call, _PROBE_SECONDS)
    return _shown(call, "ready" if {process, *parts} == {_OK} else "not ready", process, parts)


async def _parts(call: Call, seconds: float) -> tuple[str, str, str]:
    """Probe database, gateway and store side by side; `seconds` for the two that others could not reach either."""
    return await asyncio.gather(
        _state(call.db.ping()), _state(call.directory.ping(), seconds), _state(call.objects.ping(), seconds)
    )


def _process_state(call: Call) -> str:
    if call.services.draining.announced:
        return "draining"
    return "maintenance" if call.services.maintenance.forced else _OK


def _shown(call: Call, status: str, process: str, parts: tuple[str, str, str]) -> ReadyResponse:
    database, gateway, storage = parts
    call.services.instruments.metrics.parts_seen(
        labeler_db=database == _OK, user_gateway=gateway == _OK, object_store=storage == _OK
    )
    return ReadyResponse(status, process, database, gateway, storage)


async def databases(call: Call) -> DatabasesResponse:
    """Probe the databases of this service."""
    labeler, platform = await asyncio.gather(_state(call.db.ping()), _platform_state(call))
    return DatabasesResponse(platform_db=_connected(platform), labeler_db=_connected(labeler))


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
