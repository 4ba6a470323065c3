"""The SQL of the gateway: five SELECTs over the columns that the catalog allows."""

from collections.abc import Sequence

import asyncpg
import msgspec

from user_gateway.catalog import PASSWORD, Catalog
from user_gateway.database import Database
from user_gateway.errors import database_unavailable
from user_gateway.paging import Position
from user_gateway.users import columns_of


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for: `query` as text, `after` or `skip` for the place to start at."""

    query: str
    exclude_ids: Sequence[int]
    limit: int
    skip: int = 0
    after: Position | None = None
    full: bool = False


class UserStore:
    """Reads users. Every method takes the seconds that are left for it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._catalog: Catalog | None = None
        self._selects: dict[tuple[bool, str], str] = {}

    @property
    def catalog(self) -> Catalog:
        """What the database has; raises Unavailable before it was first read."""
        if self._catalog is None:
            raise database_unavailable()
        return self._catalog

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
        sql = self._select(full=full) + " WHERE u.id = $1::bigint"
        return _first(await self._database.fetch(sql, user_id, seconds=seconds))

    async def find_by_email(self, email: str, *, full: bool, seconds: float) -> asyncpg.Record | None:
        """Find a user by e-mail address without regard to case; the exact spelling wins, then the lower id."""
        sql = self._select(full=full) + (
            " WHERE lower(u.email::text) = lower($1::text) ORDER BY u.email::text = $1::text DESC, u.id LIMIT 1"
        )
        return _first(await self._database.fetch(sql, email, seconds=seconds))

    async def find_many(self, ids: Sequence[int], *, full: bool, seconds: float) -> list[asyncpg.Record]:
        """Find users by id, in no order."""
        sql = self._select(full=full) + " WHERE u.id = ANY ($1::bigint[])"
        return await self._database.fetch(sql, ids, seconds=seconds)

    async def find_with_hash(self, email: str, *, seconds: float) -> asyncpg.Record | None:
        """Find a user by the exact e-mail address, with the column `password_hash`."""
        password = f"u.{PASSWORD}::text" if self.catalog.verifies else "NULL"
        sql = self._select(full=True, extra=f", {password} AS password_hash") + " WHERE u.email::text = $1::text"
        return _first(await self._database.fetch(sql, email, seconds=seconds))

    async def search(self, search: Search, *, seconds: float) -> tuple[int, list[asyncpg.Record]]:
        """Return how many active users match, and one page of them. The rows have a column `sort_key`."""
        name = self.catalog.sources["full_name"]
        key = "u.email::text" if search.full else name
        matches, pattern = self._matches(search, name)
        found = self._select(full=search.full, extra=f", {key} AS sort_key") + (
            f" WHERE u.is_active AND {matches} AND NOT u.id = ANY ($2::bigint[])"
        )
        after = "WHERE (sort_key, id) > ($5::text, $6::bigint)" if search.after else ""
        sql = (
            f"WITH found AS MATERIALIZED ({found}) SELECT page.*, t.total "  # noqa: S608 - composed of allow-listed names only
            "FROM (SELECT count(*)::int AS total FROM found) AS t LEFT JOIN LATERAL "
            f"(SELECT * FROM found {after} ORDER BY sort_key, id LIMIT $3 OFFSET $4) AS page ON true "
            "ORDER BY page.sort_key, page.id"
        )
        place = (search.after.key, search.after.id) if search.after else ()
        rows = await self._database.fetch(
            sql, pattern, search.exclude_ids, search.limit, search.skip, *place, seconds=seconds
        )
        return rows[0]["total"], [row for row in rows if row["id"] is not None]

    def _matches(self, search: Search, name: str) -> tuple[str, str]:
        """Give the condition on $1, and $1.

        The domain of an address is not searched: `.com` would find everybody. Text with an `@` is the beginning of an
        address, of which `servicer` wants two characters; other text is looked for in names, and before the `@`.
        """
        text = _literal(search.query)
        if not search.full:
            return f"{name} ILIKE $1::text", f"%{text}%"
        if "@" in search.query:
            return "u.email::text ILIKE $1::text", f"{text}%"
        return f"({name} ILIKE $1::text OR u.email::text ILIKE $1::text || '@%')", f"%{text}%"

    def _select(self, *, full: bool, extra: str = "") -> str:
        catalog, key = self.catalog, (full, extra)
        if key not in self._selects:
            columns = ", ".join(f"{catalog.sources[column]} AS {column}" for column in columns_of(full=full))
            self._selects[key] = f"SELECT {columns}{extra} FROM public.users AS u{catalog.joins}"  # noqa: S608 - allow-listed names
        return self._selects[key]


def _first(rows: list[asyncpg.Record]) -> asyncpg.Record | None:
    return rows[0] if rows else None


def _literal(text: str) -> str:
    r"""Write text for a LIKE pattern in which `%`, `_` and `\` stand for themselves."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
