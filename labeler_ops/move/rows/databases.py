"""The three databases that can be moved: what the services call each, and what is its own.

The Labeler DB has the switch of maintenance mode and revisions of ours. The User DB and the Platform DB belong to the
platform: they are copied as they are, and our services read them by a role of their own, which no dump brings along.
"""

import os
import secrets
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import asyncpg

from labeler_api.db.failures import FAILURES
from labeler_ops.database.errors import DatabaseRefused
from labeler_ops.database.roles import ROLES, Database, apply_roles

VARIABLES: Mapping[Database, str] = {
    "labeler": "LABELER_DB_URL",
    "users": "USER_DB_URL",
    "platform": "PLATFORM_DB_URL",
}
"""What the services call the URL of each."""

_MAKES_ROLES = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"


async def reader(database: Database, target: str) -> Mapping[str, str]:
    """Make the role that our services read a copy by, and give their variables.

    Its password is the environment's LABELER_ROLE_PASSWORD, else a new one each time: a role belongs to its whole
    server, so where it reads another database there, too, the password has to stay. Raises DatabaseRefused when our
    role may not make it.
    """
    password = os.environ.get("LABELER_ROLE_PASSWORD") or secrets.token_urlsafe(24)
    try:
        await apply_roles(target, database, password=password)
    except FAILURES as error:
        raise DatabaseRefused(
            f"the services' role {ROLES[database]} cannot be made on the target: {error}. Give the URL of a superuser "
            "(Railway's postgres is one)"
        ) from error
    parts = urlsplit(target)
    host = parts.netloc.rpartition("@")[2]
    login = f"{quote(ROLES[database], safe='')}:{quote(password, safe='')}@{host}"
    return {VARIABLES[database]: parts._replace(netloc=login).geturl()}


async def may_make_roles(target: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Say whether our role may make the reader's."""
    return bool(await target.fetchval(_MAKES_ROLES))
