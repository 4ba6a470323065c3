"""The floor of the user gateway: a bare grpc.aio server that runs the same query and builds the same message.

`python -m benchmarks.bare_gateway` reads USER_DB_URL and writes its port and process id; no token, no log, no limit, no error.
"""

import asyncio
import json
import os
import sys
from typing import Any

import asyncpg
import grpc
import uvloop

from proto.users.v1 import user_gateway_pb2 as pb
from proto.users.v1 import user_gateway_pb2_grpc as pb_grpc
from service_kit.logs import tell

_COLUMNS = """
SELECT id, full_name::text, avatar_name::text, badge_color::text, is_active, email::text, company::text, division::text,
       department::text, organization_id, system_role::text, created_at, updated_at
FROM public.users"""
_NAMES = (
    "id",
    "full_name",
    "avatar_name",
    "badge_color",
    "is_active",
    "email",
    "company",
    "division",
    "department",
    "organization_id",
    "system_role",
)


class Bare(pb_grpc.UserGatewayServiceServicer):
    """Answers two calls in the full view."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def GetUser(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """One user by id."""
        del context
        row = await self._pool.fetchrow(f"{_COLUMNS} WHERE id = $1::bigint", request.id)
        return pb.GetUserResponse(user=_user(row))

    async def BatchGetUsers(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Users by id, in the order of the request."""
        del context
        rows = await self._pool.fetch(f"{_COLUMNS} WHERE id = ANY ($1::bigint[])", list(request.ids))
        found = {row["id"]: row for row in rows}
        return pb.BatchGetUsersResponse(users=[_user(found[user_id]) for user_id in request.ids if user_id in found])


def _user(row: Any) -> pb.User:
    user = pb.User(**dict(zip(_NAMES, row.values(), strict=False)))
    user.created_at.FromDatetime(row["created_at"])
    user.updated_at.FromDatetime(row["updated_at"])
    return user


async def main() -> None:
    """Serve until the process is ended."""
    async with asyncpg.create_pool(os.environ["USER_DB_URL"], min_size=10, max_size=10) as pool:
        server = grpc.aio.server()
        pb_grpc.add_UserGatewayServiceServicer_to_server(Bare(pool), server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        tell(sys.stdout, json.dumps({"port": port, "pid": os.getpid()}).encode() + b"\n")
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
