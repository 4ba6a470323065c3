"""What asyncpg raises when a database refuses, is away, or goes away, for whoever tries again or says so."""

from service_kit.postgres import FAILURES

__all__ = ["FAILURES"]
