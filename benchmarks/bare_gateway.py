"""The floor of the user gateway: grpc.aio, the same query by asyncpg, the same message, and nothing else.

`python -m benchmarks.bare_gateway` reads USER_DB_URL and writes its port and process id. No token, no log, no limit, no
error, no pool: its connections stand in a queue. It builds messages by the gateway's own function, so that it loses no
time that the gateway has saved. With the argument `query` it builds one message and answers every query with it, which
tells what messages cost.
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
from user_gateway.users import with_user, with_users

_CONNECTIONS = 10  # the gateway's own number
_COLUMNS = """
SELECT id, full_name::text, avatar_name::text, badge_color::text, is_active, email::text, company::text, division::text,
       department::text, organization_id, system_role::text, created_at, updated_at
FROM public.users"""


class Bare(pb_grpc.UserGatewayServiceServicer):
    """Answers two calls in the full view."""

    def __init__(self, connections: "asyncio.LifoQueue[Any]", *, ready: bool) -> None:
        self._connections = connections
        self._ready: dict[str, Any] | None = {} if ready else None

    async def GetUser(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """One user by id."""
        del context
        rows = await self._fetch(f"{_COLUMNS} WHERE id = $1::bigint", request.id)
        if self._ready is None or "GetUser" not in self._ready:
            return self._kept("GetUser", with_user(pb.GetUserResponse, rows[0], full=True))
        return self._ready["GetUser"]

    async def BatchGetUsers(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Users by id, in the order of the request."""
        del context
        rows = await self._fetch(f"{_COLUMNS} WHERE id = ANY ($1::bigint[])", list(request.ids))
        if self._ready is not None and "BatchGetUsers" in self._ready:
            return self._ready["BatchGetUsers"]
        found = {row["id"]: row for row in rows}
        ordered = [found[user_id] for user_id in request.ids if user_id in found]
        return self._kept("BatchGetUsers", with_users(pb.BatchGetUsersResponse, ordered, full=True))

    async def _fetch(self, sql: str, argument: object) -> Any:
        connection = await self._connections.get()
        try:
            return await connection.fetch(sql, argument)
        finally:
            self._connections.put_nowait(connection)

    def _kept(self, name: str, response: Any) -> Any:
        if self._ready is not None:
            self._ready[name] = response
        return response


async def main() -> None:
    """Serve until the process is ended."""
    connections: asyncio.LifoQueue[Any] = asyncio.LifoQueue()
    for _ in range(_CONNECTIONS):
        connections.put_nowait(await asyncpg.connect(os.environ["USER_DB_URL"]))
    server = grpc.aio.server()
    servicer = Bare(connections, ready=sys.argv[1:] == ["query"])
    pb_grpc.add_UserGatewayServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    tell(sys.stdout, json.dumps({"port": port, "pid": os.getpid()}).encode() + b"\n")
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
