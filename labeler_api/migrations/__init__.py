"""Alembic's environment and the revisions: from the schema in production to the one in `labeler_api.db.tables`."""

from pathlib import Path
from typing import Final

DIRECTORY: Final = Path(__file__).parent

PRODUCTION: Final = "20251124_0000"  # the revision that production's `alembic_version` names
HEAD: Final = "20261130_0410"  # known without loading Alembic, so that a start of the system costs one query
