"""The proof that the role of the Platform DB could not write."""

from typing import Any

from service_kit.role_privileges import SHOWN, RoleCanWrite, write_privileges


async def prove(connection: Any) -> None:
    """Raise RoleCanWrite unless PostgreSQL itself holds the session's role to reading."""
    found = await write_privileges(connection, SHOWN + 1)
    if found:
        more = " and more" if len(found) > SHOWN else ""
        raise RoleCanWrite("; ".join(found[:SHOWN]) + more)
