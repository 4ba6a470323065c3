"""The two services, as the stack runs them: their environment, their start and their readiness."""

import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labeler_ops.errors import StackError
from labeler_ops.stack.ports import HOST
from labeler_ops.stack.processes import Process, spawn
from labeler_ops.storage.access import StorageAccess

READY_SECONDS = 60.0  # imports on a cold disk cache; warm it is 1-2 s
_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 5.0  # /health/deploy asks a database, the gateway and the store
# Set by platforms for one web process; here they would reach two services that each have a variable of their own.
_NOT_PASSED_ON = ("PORT", "DATABASE_URL", "DATABASE_UNPOOLED_URL", "PYTHONSTARTUP")
# What a second copy of the services has in common with the first: the servers, and the keys that tokens and links need.
_SHARED = ("LABELER_DB_URL", "USER_DB_URL", "PLATFORM_DB_URL", "JWT_SECRET_KEY", "MEDIA_LINK_KEYS")


@dataclass(frozen=True)
class Addresses:
    """Where the two services listen."""

    api_port: int
    gateway_port: int

    @property
    def api(self) -> str:
        """The API's URL."""
        return f"http://{HOST}:{self.api_port}"

    @property
    def gateway(self) -> str:
        """The gateway's host and port."""
        return f"{HOST}:{self.gateway_port}"


def environment(
    inherited: Mapping[str, str],
    addresses: Addresses,
    databases: Mapping[str, str],
    storage: StorageAccess,
    secrets: Mapping[str, str],
) -> dict[str, str]:
    """Give both services' variables; what the person set (CORS_ORIGINS, JWT_SECRET_KEY …) stays."""
    kept = {name: value for name, value in inherited.items() if value and name not in _NOT_PASSED_ON}
    scopes = "users.read+users.read_private+credentials.verify"
    token = secrets["user_gateway_token"]
    defaults = {
        "JWT_SECRET_KEY": secrets["jwt_secret_key"],
        "MEDIA_LINK_KEYS": secrets["media_link_key"],
        "API_HOST": HOST,
        "USER_GATEWAY_HOST": HOST,
        "USER_GATEWAY_TOKENS": f"labeler={token}:{scopes}",
        "USER_GATEWAY_TOKEN": token,
    }
    fixed = {
        "LABELER_DB_URL": databases["labeler"],
        "USER_DB_URL": databases["users"],
        "PLATFORM_DB_URL": databases["platform"],
        "API_PORT": str(addresses.api_port),
        "USER_GATEWAY_PORT": str(addresses.gateway_port),
        "USER_GATEWAY_ADDRESS": addresses.gateway,
        "S3_ENDPOINT": storage.endpoint,
        "S3_ACCESS_KEY": storage.access_key,
        "S3_SECRET_KEY": storage.secret_key,
        "S3_REGION": storage.region,
        "S3_BUCKET_DATASETS": storage.datasets_bucket,
        "S3_BUCKET_ANNOTATIONS": storage.annotations_bucket,
        "PYTHONUNBUFFERED": "1",
    }
    return {**defaults, **kept, **fixed}


def shared(env: Mapping[str, str]) -> dict[str, str]:
    """Select of the services' variables those with which another program uses the same servers."""
    return {name: value for name, value in env.items() if name in _SHARED or name.startswith("S3_")}


def launch_gateway(env: Mapping[str, str], log: Path) -> Process:
    """Start the user gateway without waiting for it."""
    return spawn("gateway", [sys.executable, "-m", "user_gateway"], env=env, log=log)


def launch_api(env: Mapping[str, str], log: Path) -> Process:
    """Start the labeler API without waiting for it."""
    return spawn("api", [sys.executable, "-m", "labeler_api"], env=env, log=log)


async def wait_ready(addresses: Addresses, seconds: float = READY_SECONDS) -> None:
    """Wait until the API says that it, its database, the gateway and the store answer. Raises StackError."""
    url = f"{addresses.api}/health/deploy"
    deadline = time.monotonic() + seconds
    while True:
        # A thread, because urllib blocks: the loop has the parts to watch meanwhile.
        problem = await asyncio.to_thread(_problem, url)
        if problem is None:
            return
        if time.monotonic() > deadline:
            raise StackError(f"the system does not answer within {seconds:.0f} s: {problem}")
        await asyncio.sleep(_POLL_SECONDS)


def _problem(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - our own http:// URL
            answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return f"{url} answers {error.code}: {_short(error.read())}"
    except OSError as error:
        return f"{url}: {error}"
    return None


def _short(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body))[:500]
    except ValueError:
        return body[:500].decode(errors="replace")
