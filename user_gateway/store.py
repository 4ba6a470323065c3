"""The SQL of the gateway: five SELECTs over the columns that the catalog allows."""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic

import asyncpg
import msgspec

from user_gateway.catalog import PASSWORD, USUAL_COST, Catalog
from user_gateway.database import Database
from user_gateway.errors import CatalogChanged, credentials_unreadable, database_unavailable
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


# Nearly everybody writes an address as it is stored, and a unique index finds that: the second look, which needs an
# index on lower(email), is taken only where the first found nobody.
_BY_EMAIL = """
 WHERE u.id = coalesce((SELECT id FROM public.users WHERE email::text = $1::text ORDER BY id LIMIT 1),
                       (SELECT id FROM public.users WHERE lower(email::text) = lower($1::text) ORDER BY id LIMIT 1))"""


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
        return _first(
            await self._fetch(
                lambda: self._select(full=full, rest=" WHERE u.id = $1::bigint"), user_id, seconds=seconds
            )
        )

    async def find_by_email(self, email: str, *, full: bool, seconds: float) -> asyncpg.Record | None:
        """Find a user by e-mail address without regard to case; the exact spelling wins, then the lower id."""
        return _first(await self._fetch(lambda: self._select(full=full, rest=_BY_EMAIL), email, seconds=seconds))

    async def find_many(self, ids: Sequence[int], *, full: bool, seconds: float) -> list[asyncpg.Record]:
        """Find users by id, in no order."""
        return await self._fetch(
            lambda: self._select(full=full, rest=" WHERE u.id = ANY ($1::bigint[])"), ids, seconds=seconds
        )

    async def find_with_hash(self, email: str, *, seconds: float) -> asyncpg.Record | None:
        """Find a user by the exact e-mail address, with the column `password_hash`.

        Raises Unavailable while the hashes cannot be read: nobody's password would be right.
        """

        def sql() -> str:
            if not self.catalog.verifies:
                raise credentials_unreadable()
            return self._select(
                full=True, extra=f", u.{PASSWORD}::text AS password_hash", rest=" WHERE u.email::text = $1::text"
            )

        return _first(await self._fetch(sql, email, seconds=seconds))

    async def _fetch(self, sql: Callable[[], str], *args: object, seconds: float) -> list[asyncpg.Record]:
        """Run what `sql` builds from the catalog. Where a column went away, read the catalog anew and ask once more."""
        try:
            return await self._database.fetch(sql(), *args, seconds=seconds)
        except CatalogChanged:
            started = monotonic()
            try:
                async with asyncio.timeout(seconds):
                    await self._database.read_again()
            except TimeoutError:
                raise database_unavailable() from None
            return await self._database.fetch(sql(), *args, seconds=max(seconds - (monotonic() - started), 0.0))

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
        rows = await self._fetch(
            lambda: sql, pattern, search.exclude_ids, search.limit, search.skip, *place, seconds=seconds
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

    def _select(self, *, full: bool, extra: str = "", rest: str = "") -> str:
        catalog, key = self.catalog, (full, extra, rest)
        if key not in self._selects:
            columns = ", ".join(f"{catalog.sources[column]} AS {column}" for column in columns_of(full=full))
            self._selects[key] = f"SELECT {columns}{extra} FROM public.users AS u{catalog.joins}{rest}"  # noqa: S608 - allow-listed names
        return self._selects[key]


def _first(rows: list[asyncpg.Record]) -> asyncpg.Record | None:
    return rows[0] if rows else None


def _literal(text: str) -> str:
    r"""Write text for a LIKE pattern in which `%`, `_` and `\` stand for themselves."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
