"""An API without the gateway, for comparison: the same user directory, asking the User DB itself.

`python -m benchmarks.direct_directory gateway|direct` serves one copy of the API. Both go through this entry point, so
that nothing differs but who answers for users; `direct` reads USER_DB_URL. It writes its address to standard output.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import asyncpg
import bcrypt
import uvicorn
import uvloop

from labeler_api.app import create_app, open_services
from labeler_api.process.serving import configure_logging
from labeler_api.settings import load
from labeler_api.user_directory.directory import UserDirectory
from labeler_api.user_directory.profiles import UserProfile

_COLUMNS = (
    "id, email, full_name, company, division, department, organization_id, system_role::text, is_active, avatar_name,"
    " badge_color, created_at AT TIME ZONE 'UTC' AS created_at, updated_at AT TIME ZONE 'UTC' AS updated_at"
)
_ONE = f"SELECT {_COLUMNS} FROM users WHERE id = $1"
_MANY = f"SELECT {_COLUMNS} FROM users WHERE id = ANY ($1::int[])"
_BY_EMAIL = f"SELECT {_COLUMNS} FROM users WHERE lower(email) = lower($1) ORDER BY email = $1 DESC, id LIMIT 1"
_WITH_HASH = f"SELECT {_COLUMNS}, hashed_password FROM users WHERE email = $1"
_SEARCH = (
    f"SELECT {_COLUMNS}, count(*) OVER () AS total FROM users WHERE is_active AND (full_name ILIKE $1 OR email ILIKE $1)"
    " AND NOT id = ANY ($2::int[]) ORDER BY email LIMIT $3 OFFSET $4"
)


class DirectDirectory(UserDirectory):
    """The user directory with asyncpg where the gateway's client is; its cache and its single flights are the same."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", like: UserDirectory, cache_seconds: float) -> None:
        # The channel to this address is never used, so it is never opened.
        super().__init__("127.0.0.1:1", "", cache_seconds=cache_seconds, instruments=like._instruments)
        self._pool = pool

    async def find_by_email(self, email: str) -> UserProfile | None:
        row = await self._pool.fetchrow(_BY_EMAIL, email)
        return None if row is None else self._keep(row)

    async def search(
        self, q: str, *, exclude_ids: Iterable[int] = (), limit: int = 10, offset: int = 0
    ) -> tuple[list[UserProfile], int]:
        rows = await self._pool.fetch(_SEARCH, f"%{q}%", list(exclude_ids), limit, offset)
        return [self._keep(row) for row in rows], rows[0]["total"] if rows else 0

    async def verify_credentials(self, email: str, password: str) -> UserProfile | None:
        row = await self._pool.fetchrow(_WITH_HASH, email)
        if row is None:
            return None
        hashed = row["hashed_password"].encode()
        return self._keep(row) if await asyncio.to_thread(bcrypt.checkpw, password.encode(), hashed) else None

    async def ping(self) -> None:
        await self._pool.fetchval("SELECT 1")

    async def _fetch_one(self, user_id: int) -> Mapping[int, UserProfile | None]:
        asked_at = self._clock()
        row = await self._pool.fetchrow(_ONE, user_id)
        if row is None:
            self._cache.put(user_id, None, asked_at)
            return {user_id: None}
        return {user_id: self._keep(row, asked_at)}

    async def _fetch_many(self, ids: Sequence[int]) -> Mapping[int, UserProfile | None]:
        asked_at = self._clock()
        found = {row["id"]: self._keep(row, asked_at) for row in await self._pool.fetch(_MANY, ids)}
        for user_id in ids:
            if user_id not in found:
                self._cache.put(user_id, None, asked_at)
        return {**dict.fromkeys(ids), **found}

    def _keep(self, row: asyncpg.Record, asked_at: float | None = None) -> UserProfile:
        values: Mapping[str, Any] = {name: row[name] for name in UserProfile.__struct_fields__}
        profile = UserProfile(**values)
        self._cache.put(profile.id, profile, self._clock() if asked_at is None else asked_at)
        return profile


async def serve(kind: str) -> None:
    """Serve on a free port of this machine until SIGTERM."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = load()
    configure_logging(settings.log_level)
    async with AsyncExitStack() as stack:
        services = await open_services(settings, stack)
        if kind == "direct":
            # As large as the gateway's own pool may get.
            pool = await stack.enter_async_context(
                asyncpg.create_pool(os.environ["USER_DB_URL"], min_size=2, max_size=10)
            )
            directory = DirectDirectory(pool, services.directory, settings.user_cache_seconds)
            stack.push_async_callback(directory.close)
            services = replace(services, directory=directory)
        config = uvicorn.Config(
            create_app(settings, services), loop="none", http="httptools", log_config=None, access_log=False
        )
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        # A line a request is written, as in production, but nobody reads the pipe: it would fill up.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
