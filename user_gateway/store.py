"""The SQL of the gateway: five SELECTs over the columns that the catalog allows."""

import asyncio
from collections.abc import Sequence

import asyncpg

from user_gateway.catalog import PASSWORD, USUAL_COST, Catalog
from user_gateway.database import Database
from user_gateway.errors import CatalogChanged, credentials_unreadable, database_unavailable
from user_gateway.search import SHORT, Search, statement
from user_gateway.users import columns_of

# Nearly everybody writes an address as it is stored, and a unique index finds that: the second look, which needs an
# index on lower(email), is taken only where the first found nobody. OFFSET 0 keeps the planner from reading all ids in
# their order until one fits, which it finds cheap where statistics are missing.
_BY_EMAIL = """
 WHERE u.id = coalesce(
   (SELECT min(id) FROM (SELECT id FROM public.users WHERE email::text = $1::text OFFSET 0) AS exact),
   (SELECT min(id) FROM (SELECT id FROM public.users WHERE lower(email::text) = lower($1::text) OFFSET 0) AS alike))"""


BY_IDS = " WHERE u.id = ANY ($1::bigint[])"
_HASH = f", u.{PASSWORD}::text AS password_hash"


class UserStore:
    """Reads users. Every method takes the seconds that are left for it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._catalog: Catalog | None = None
        self._selects: dict[tuple[bool, str, str], str] = {}
        self.password_cost = USUAL_COST
        """The highest cost of the hashes that were last looked at."""

    @property
    def catalog(self) -> Catalog:
        """What the database has; raises Unavailable before it was first read."""
        if self._catalog is None:
            raise database_unavailable()
        return self._catalog

    @property
    def verifies(self) -> bool:
        """Whether passwords can be checked."""
        return self._catalog is not None and self._catalog.verifies

    def current_catalog(self) -> Catalog:
        """Return the catalog; raise Unavailable while the database is away."""
        if not self._database.available:
            raise database_unavailable()
        return self.catalog

    def use(self, catalog: Catalog) -> None:
        """Build every later statement from this catalog."""
        self._catalog = catalog
        self._selects.clear()

    async def find(self, user_id: int, *, full: bool, seconds: float) -> asyncpg.Record | None:
        """Find a user by id."""
        return _first(await self._fetch(user_id, full=full, rest=" WHERE u.id = $1::bigint", seconds=seconds))

    async def find_by_email(self, email: str, *, full: bool, seconds: float) -> asyncpg.Record | None:
        """Find a user by e-mail address without regard to case; the exact spelling wins, then the lower id."""
        return _first(await self._fetch(email, full=full, rest=_BY_EMAIL, seconds=seconds))

    async def find_many(self, ids: Sequence[int], *, full: bool, seconds: float) -> list[asyncpg.Record]:
        """Find users by id, in no order."""
        return await self._fetch(ids, full=full, rest=BY_IDS, seconds=seconds)

    async def find_with_hash(self, email: str, *, seconds: float) -> asyncpg.Record | None:
        """Find a user by the exact e-mail address, with the column `password_hash`.

        Raises Unavailable while the hashes cannot be read: nobody's password would be right.
        """
        where = " WHERE u.email::text = $1::text"
        return _first(await self._fetch(email, full=True, extra=_HASH, rest=where, seconds=seconds))

    async def search(self, search: Search, *, caller: str, seconds: float) -> tuple[int, list[asyncpg.Record]]:
        """Return how many active users match, and one page of them. The rows have a column `sort_key`.

        Raises ResourceExhausted where `caller`, or all callers together, search as much as they may.
        """
        try:
            rows = await self._search(search, caller, seconds)
        except CatalogChanged:
            await self._read_again(seconds)
            rows = await self._search(search, caller, seconds)
        return rows[0]["total"], [row for row in rows if row["id"] is not None]

    async def _search(self, search: Search, caller: str, seconds: float) -> list[asyncpg.Record]:
        sql, arguments = statement(search, self.catalog, self._select(full=search.full))
        short = len(search.query) < SHORT
        return await self._database.search(sql, *arguments, caller=caller, short=short, seconds=seconds)

    async def _fetch(
        self, argument: object, *, full: bool, rest: str, seconds: float, extra: str = ""
    ) -> list[asyncpg.Record]:
        """Run a statement made from the catalog. If a column went away, read the catalog again and retry once."""
        sql = self._select(full=full, extra=extra, rest=rest)
        try:
            return await self._database.fetch(sql, argument, seconds=seconds)
        except CatalogChanged:
            await self._read_again(seconds)
            sql = self._select(full=full, extra=extra, rest=rest)
            return await self._database.fetch(sql, argument, seconds=seconds)

    async def _read_again(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._database.read_again()
        except TimeoutError:
            raise database_unavailable() from None

    def _select(self, *, full: bool, extra: str = "", rest: str = "") -> str:
        key = full, extra, rest
        if key not in self._selects:
            catalog = self.catalog
            if extra == _HASH and not catalog.verifies:
                raise credentials_unreadable()
            columns = ", ".join(f"{catalog.sources[column]} AS {column}" for column in columns_of(full=full))
            self._selects[key] = f"SELECT {columns}{extra} FROM public.users AS u{catalog.joins}{rest}"  # noqa: S608 - allow-listed names
        return self._selects[key]


def _first(rows: list[asyncpg.Record]) -> asyncpg.Record | None:
    return rows[0] if rows else None
