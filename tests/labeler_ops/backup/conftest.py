"""The fixtures of backups."""

from tests.fixtures.backups import bucket, empty, folder, operator, source, store

__all__ = ["bucket", "empty", "folder", "operator", "source", "store"]
