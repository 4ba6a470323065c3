"""The statement of a search: ids and keys first, and whole rows for one page only."""

import msgspec

from user_gateway.catalog import Catalog
from user_gateway.paging import Position

MAX_COUNTED = 10_000
"""Matches that are counted: a search for two letters finds a third of a million users, and nobody turns so many pages.
More are found as well, page by page, and `total_size` says this number."""


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

    The first MAX_COUNTED matches are gathered in whatever order they come. Where these are all, the page is cut from
    them. Where there are more, matches are frequent: then the page is found along the order of the keys, by an index
    on the e-mail address, or with no more in memory than the page. Either way nothing is written to disk.
    """
    name = f"({catalog.sources['full_name']})::text"  # NULL where no table has it
    key = "u.email::text" if search.full else name
    matches, pattern = _matches(search, name)
    where = (
        f"FROM public.users AS u{catalog.joins} WHERE {catalog.sources['is_active']} AND {matches}"
        " AND NOT EXISTS (SELECT FROM unnest($2::bigint[]) AS excluded (id) WHERE excluded.id = u.id)"
    )
    of_found, of_users = _after(search, "sort_key", "id", catalog), _after(search, key, "u.id", catalog)
    sql = f"""
WITH found AS MATERIALIZED (SELECT u.id, {key} AS sort_key {where} LIMIT {MAX_COUNTED + 1}),
page AS (
  SELECT few.* FROM (SELECT id, sort_key FROM found WHERE {of_found} ORDER BY sort_key, id LIMIT $3 OFFSET $4) AS few
  WHERE (SELECT count(*) FROM found) <= {MAX_COUNTED}
  UNION ALL
  SELECT many.* FROM (SELECT u.id, {key} AS sort_key {where} AND {of_users}
                      ORDER BY {key}, u.id LIMIT $3 OFFSET $4) AS many
  WHERE (SELECT count(*) FROM found) > {MAX_COUNTED}
)
SELECT shown.*, page.sort_key, total.total
FROM (SELECT least(count(*), {MAX_COUNTED})::int AS total FROM found) AS total LEFT JOIN page ON true
     LEFT JOIN LATERAL ({columns} WHERE u.id = page.id LIMIT 1) AS shown ON true
ORDER BY page.sort_key, page.id
"""  # noqa: S608 - composed of allow-listed names only
    place = (search.after.key, search.after.id) if search.after else ()
    return sql, [pattern, search.exclude_ids, search.limit, search.skip, *place]


def _after(search: Search, key: str, user_id: str, catalog: Catalog) -> str:
    """Give the condition for what comes behind the page before; users without an address stand last."""
    if search.after is None:
        return "true"
    if search.after.key is None:
        return f"{key} IS NULL AND $5::text IS NULL AND {user_id} > $6::bigint"
    rest = f" OR {key} IS NULL" if search.full and catalog.email_may_be_null else ""
    return f"(({key}, {user_id}) > ($5::text, $6::bigint){rest})"


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
