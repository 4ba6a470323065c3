"""A page ends at a number of bytes: PostgreSQL itself stops there, and never sends more.

What clients stored is as large as it is. Two hundred rows of two megabytes each were one page, and took 1.9 GB. So
the statement of a page sums the bytes of its rows; the process gets what fits, and the client goes on by cursor.
"""

# ruff: noqa: S608 - the only text put into the statements is columns of ours and the numbers below

from collections.abc import Callable, Sequence

from labeler_api.db.pool import Row

# A thousand annotations of 6 kB each, polygons of four hundred points, are one page as before. With the names, dates
# and keys beside them, some 600 bytes a row, a page stays under 8 MiB.
PAGE_BYTES = 6 * 2**20
# A row that no page could hold is sent without its large values, so that the rows behind it can be reached. Of a row
# with two large values both may have this size.
VALUE_BYTES = PAGE_BYTES // 2
# Turning JSON into text costs PostgreSQL some 7 ms a megabyte, which rows behind the end of the page must not cost. How
# much text a stored value gives is only guessed at: polygons are compressed to a third, what was made to be compressed
# to a ninetieth (pglz). Small ones are not taken for that, or the pages of everybody's polygons would end early.
_WORK_BYTES = 32 * 2**20
_SMALL_BYTES = 4096
_UNPACKED = 32
_LEFT_OUT = '{"left_out_bytes": '


def json_value(column: str) -> str:
    """Select the JSON of one row as text, or what stands for it where it is too large for an answer."""
    return _value(column, f"{column}::text", _json_left_out)


def text_value(column: str) -> str:
    """Select the text of one row, or what stands for it."""
    return _value(column, column, _text_left_out)


def _value(column: str, text: str, left_out: Callable[[str], str]) -> str:
    name, size = column.rpartition(".")[2], f"octet_length({text})"
    return f"CASE WHEN {size} > {VALUE_BYTES} THEN {left_out(size)} ELSE {text} END AS {name}"


def page(
    rows: str,
    order: str,
    *,
    kept: Sequence[str],
    json: Sequence[str] = (),
    text: Sequence[str] = (),
    most: int = PAGE_BYTES,
) -> str:
    """Let the statement of a page end at a number of bytes.

    `rows` selects the columns `kept`, `json` and `text`, in the order `order`, up to a LIMIT. The new statement selects
    the same, JSON as text, and `fits`: false on a last row that tells that the page ended early (see `taken`).
    """
    rows = _as_text(rows, order, (*kept, *text), json) if json else f"SELECT *, true AS is_cheap FROM ({rows}) found"
    own = " + ".join(f"coalesce(octet_length({column}), 0)" for column in (*json, *text))
    shown = [_shown(column, most, _json_left_out) for column in json] + [
        _shown(column, most, _text_left_out) for column in text
    ]
    return f"""
        SELECT {", ".join((*kept, *shown))}, fits FROM (
            SELECT *, is_cheap AND sum(counted) OVER before_and_this <= {most} AS fits,
                   sum(counted) OVER before_and_this - counted AS before
            FROM (
                SELECT *, CASE WHEN own_bytes <= {most} THEN own_bytes ELSE 0 END AS counted
                FROM (SELECT *, {own} AS own_bytes FROM ({rows}) written) sized
            ) measured
            WINDOW before_and_this AS (ORDER BY {order} ROWS UNBOUNDED PRECEDING)
        ) page WHERE before <= {most} ORDER BY {order}
    """


def one(
    row: str, *, kept: Sequence[str], json: Sequence[str] = (), text: Sequence[str] = (), most: int = PAGE_BYTES
) -> str:
    """Select a single row as `page` selects the first one of a page, which always fits: nothing is summed for it."""
    texts = ", ".join(f"{column}::text AS {column}" for column in json)
    own = " + ".join(f"coalesce(octet_length({column}), 0)" for column in (*json, *text))
    shown = [_shown(column, most, _json_left_out) for column in json] + [
        _shown(column, most, _text_left_out) for column in text
    ]
    return f"""
        SELECT {", ".join((*kept, *shown))}, fits FROM (
            SELECT *, {own} AS own_bytes, true AS fits
            FROM (SELECT {", ".join((*kept, *text))}, {texts} FROM ({row}) found OFFSET 0) written
        ) sized
    """


def taken(rows: list[Row]) -> tuple[list[Row], bool]:
    """Return the rows that the page holds, and whether it ended before its LIMIT and before the last row."""
    if rows and not rows[-1]["fits"]:
        return rows[:-1], True
    return rows, False


def is_left_out(text: str) -> bool:
    """Whether this stands for JSON that was too large."""
    return text.startswith(_LEFT_OUT)


def _as_text(rows: str, order: str, others: Sequence[str], json: Sequence[str]) -> str:
    """Turn JSON into text, up to the row that would be too much work, the first one aside."""
    work = " + ".join(_work(column) for column in json)
    texts = ", ".join(f"CASE WHEN is_cheap THEN {column}::text END AS {column}" for column in json)
    return f"""
        SELECT {", ".join(others)}, is_cheap, {texts} FROM (
            SELECT *, spent <= {_WORK_BYTES} OR spent = work AS is_cheap FROM (
                SELECT *, sum(work) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) AS spent
                FROM (SELECT *, {work} AS work FROM ({rows}) found) guessed
            ) summed WHERE spent - work <= {_WORK_BYTES}
        ) chosen OFFSET 0
    """


def _work(column: str) -> str:
    size = f"coalesce(pg_column_size({column}), 0)"
    return (
        f"{size} * CASE WHEN {size} > {_SMALL_BYTES} AND pg_column_compression({column}) IS NOT NULL "
        f"THEN {_UNPACKED} ELSE 2 END"
    )


def _shown(column: str, most: int, left_out: Callable[[str], str]) -> str:
    size = f"octet_length({column})"
    return f"""CASE WHEN NOT fits OR {column} IS NULL THEN NULL
        WHEN own_bytes <= {most} OR {size} <= {_SMALL_BYTES} THEN {column} ELSE {left_out(size)} END AS {column}"""


def _json_left_out(size: str) -> str:
    return f"'{_LEFT_OUT}' || {size} || '}}'"


def _text_left_out(size: str) -> str:
    return f"'[left out: ' || {size} || ' bytes]'"
