"""Read one row and the rows that belong to it in one statement, which is one round trip."""


def one_and_rows(columns: str, source: str, rows: str, order: str = "") -> str:
    """Build a statement that returns `columns` of the one row of `source`, joined with each of its `rows`.

    It returns at least one row: if there are no `rows`, their columns are NULL. `rows` may use the columns, as
    `found.id`. The one row is materialized, so its counts are computed once, whatever the number of rows.
    """
    return f"""
        WITH found AS MATERIALIZED (SELECT {columns} {source})
        SELECT read.*, found.* FROM found LEFT JOIN LATERAL ({rows}) read ON true {order and f"ORDER BY {order}"}
    """  # noqa: S608 - statements of ours
