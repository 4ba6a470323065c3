"""The proof that the role of the Platform DB could not write."""

from typing import Any

from service_kit.read_only import SHOWN, write_privileges


class NotReadOnly(Exception):
    """The role could write; the text says with what."""


async def prove(connection: Any) -> None:
    """Raise NotReadOnly unless PostgreSQL itself holds the session's role to reading."""
    found = await write_privileges(connection, SHOWN + 1)
    if found:
        more = " and more" if len(found) > SHOWN else ""
        raise NotReadOnly("; ".join(found[:SHOWN]) + more)
