"""The metadata that all tables share, with the naming convention, and the columns that many tables have alike."""

from typing import Any

from sqlalchemy import Column, DateTime, MetaData, func

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",  # PostgreSQL's own form, which production's keys have
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def moment(name: str) -> Column[Any]:
    """A point in time that may be absent."""
    return Column(name, DateTime(timezone=True))


def stamped(name: str) -> Column[Any]:
    """A point in time that every row has; the database's clock is the default."""
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())
