"""What an operator should know of the catalog: logged when it is first seen, and when it changes."""

from collections.abc import Sequence
from typing import Any

import structlog

from user_gateway.catalog import PASSWORD, Catalog
from user_gateway.indexes import Missing

log = structlog.get_logger(__name__)


class CatalogNotes:
    """Says each thing once: the catalog is read every minute."""

    def __init__(self) -> None:
        self._said: dict[str, dict[str, Any]] = {}

    def tell(self, catalog: Catalog) -> None:
        """Say what is amiss."""
        hashes = f"users.{PASSWORD}"
        if self._changed("passwords cannot be checked", {} if catalog.verifies else {"column": hashes}):
            log.error(
                "passwords cannot be checked: every log-in is refused",
                column=hashes,
                why="the role may not read it" if hashes in catalog.withheld else "it is not there, or is no text",
                help="`labeler db roles users` prints the grants",
            )
        self.warn("the role reads more than the gateway needs", columns=catalog.readable_beyond[:20])
        withheld = [column for column in catalog.withheld if column != hashes]
        self.warn("columns are answered as not set: the role may not read them", columns=withheld)
        self.warn("columns are answered as not set: their types do not fit", columns=catalog.unfit)

    def tell_missing(self, lacking: Sequence[Missing]) -> None:
        """Say which indexes are missing, and what that costs."""
        self.warn(
            "the User DB lacks indexes",
            missing=[f"{index.on}: {index.costs}" for index in lacking],
            help="`labeler db roles users --indexes` prints or makes them",
        )

    def warn(self, event: str, **details: Any) -> None:
        """Log a warning whose details are new; empty ones say that all is well."""
        known = {name: value for name, value in details.items() if value and name != "help"}
        if self._changed(event, known):
            log.warning(event, **details)

    def _changed(self, event: str, details: dict[str, Any]) -> bool:
        """Remember; tell whether there is something new to say."""
        before = self._said.pop(event, {})
        if details:
            self._said[event] = details
        return bool(details) and details != before
