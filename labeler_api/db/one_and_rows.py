"""Read one row and the rows that belong to it in one statement, which is one round trip."""


def one_and_rows(columns: str, source: str, rows: str, order: str = "") -> str:
    """Let a statement read these columns of the one row of a source, and `rows` beside it: one at least.

    `rows` may ask for the columns, as `found.id`; where there are none, theirs are NULL. The one row is materialized,
    so that what it counts is counted once, whatever the number of rows.
    """
    return f"""
        WITH found AS MATERIALIZED (SELECT {columns} {source})
        SELECT read.*, found.* FROM found LEFT JOIN LATERAL ({rows}) read ON true {order and f"ORDER BY {order}"}
    """  # noqa: S608 - statements of ours
