"""A user as the database gives it and as the wire shows it: the allow-list of each view."""

from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg
from google.protobuf.timestamp_pb2 import Timestamp

from proto.users.v1 import user_gateway_pb2 as pb

BASIC_COLUMNS = ("id", "full_name", "avatar_name", "badge_color", "is_active")
"""What everybody may see. Never an e-mail address."""

FULL_COLUMNS = (
    *BASIC_COLUMNS,
    "email",
    "company",
    "division",
    "department",
    "organization_id",
    "system_role",
    "created_at",
    "updated_at",
)
"""What callers with the scope users.read_private may see."""


def columns_of(*, full: bool) -> Sequence[str]:
    """List the columns of a view."""
    return FULL_COLUMNS if full else BASIC_COLUMNS


def to_message(row: asyncpg.Record, *, full: bool) -> pb.User:
    """Build the message of a row that was selected with `columns_of(full=full)`."""
    user = pb.User(
        id=row["id"],
        full_name=row["full_name"],
        avatar_name=row["avatar_name"],
        badge_color=row["badge_color"],
        is_active=row["is_active"],
    )
    if full:
        user.email = row["email"]
        for column in ("company", "division", "department", "organization_id", "system_role"):
            value = row[column]
            if value is not None:
                setattr(user, column, value)
        for column in ("created_at", "updated_at"):
            if row[column] is not None:
                getattr(user, column).CopyFrom(timestamp(row[column]))
    return user


def timestamp(moment: datetime) -> Timestamp:
    """Convert; a time without a zone is UTC, which is what the platform writes."""
    message = Timestamp()
    message.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return message
