"""The statement of a search: ids and keys first, and whole rows for one page only."""

import msgspec

from user_gateway.catalog import Catalog
from user_gateway.paging import Position

SHORT = 3
"""Characters from which a trigram index helps: a search for fewer reads every account, with any index."""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for: `query` as text, `after` or `skip` for the place to start at."""

    query: str
    exclude_ids: list[int]
    limit: int
    skip: int = 0
    after: Position | None = None
    full: bool = False


def statement(search: Search, catalog: Catalog, columns: str) -> tuple[str, list[object]]:
    """Compose the SQL and its arguments; `columns` is the SELECT of the view, without a condition.

    One scan gathers ids and keys, counts them, and orders no more of them than the page needs. To look for a page along
    an index on the keys would be faster for luck alone: where the matches stand at the end, it reads every account one
    by one.
    """
    name = f"({catalog.sources['full_name']})::text"  # NULL where no table has it
    key = "u.email::text" if search.full else name
    matches, pattern = _matches(search, name)
    where = (
        f"FROM public.users AS u{catalog.joins} WHERE {catalog.sources['is_active']} AND {matches}"
        " AND NOT EXISTS (SELECT FROM unnest($2::bigint[]) AS excluded (id) WHERE excluded.id = u.id)"
    )
    sql = f"""
WITH found AS MATERIALIZED (SELECT u.id, {key} AS sort_key {where}),
page AS MATERIALIZED (
  SELECT id, sort_key FROM found WHERE {_after(search, catalog)} ORDER BY sort_key, id LIMIT $3 OFFSET $4
)
SELECT shown.*, page.sort_key, total.total
FROM (SELECT count(*)::int AS total FROM found) AS total LEFT JOIN page ON true
     LEFT JOIN LATERAL ({columns} WHERE u.id = page.id LIMIT 1) AS shown ON true
ORDER BY page.sort_key, page.id
"""  # noqa: S608 - composed of allow-listed names only
    place = (search.after.key, search.after.id) if search.after else ()
    return sql, [pattern, search.exclude_ids, search.limit, search.skip, *place]


def _after(search: Search, catalog: Catalog) -> str:
    """Give the condition for what comes behind the page before; users without an address stand last."""
    if search.after is None:
        return "true"
    if search.after.key is None:
        return "sort_key IS NULL AND $5::text IS NULL AND id > $6::bigint"
    rest = " OR sort_key IS NULL" if search.full and catalog.email_may_be_null else ""
    return f"((sort_key, id) > ($5::text, $6::bigint){rest})"


def _matches(search: Search, name: str) -> tuple[str, str]:
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


def _literal(text: str) -> str:
    r"""Write text for a LIKE pattern in which `%`, `_` and `\` stand for themselves."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
