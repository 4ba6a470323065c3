"""A page at an offset, read from that end of the list which is nearer: the last page costs what the first one does.

PostgreSQL walks over every row before an offset. So the middle of a list costs the most, half of what its end did.
"""


def page(columns: str, source: str, order: tuple[str, ...], *, total: str, limit: str, offset: str) -> str:
    """Select the rows of a page, in any order. `total` is the number of all rows of the source: it has to be true.

    `total`, `limit` and `offset` are expressions of the statement around; only one of the two halves reads anything.
    """
    skipped = f"LEAST({offset}, {total})"
    is_late = f"{skipped} > {total} / 2"
    backwards = ", ".join(f"{column} DESC" for column in order)
    return f"""
        (SELECT {columns} FROM {source} ORDER BY {", ".join(order)}
         LIMIT CASE WHEN {is_late} THEN 0 ELSE {limit} END OFFSET {skipped})
        UNION ALL
        (SELECT {columns} FROM {source} ORDER BY {backwards}
         LIMIT CASE WHEN {is_late} THEN LEAST({limit}, {total} - {skipped}) ELSE 0 END
         OFFSET GREATEST(0, {total} - {skipped} - {limit}))
    """  # noqa: S608 - statements of ours
