"""How a statement knows that an import is at work: its marks (`locks/import_locks/store.py`), and what they are worth.

An import marks images with the number of its transaction, and every snapshot tells which transactions have ended.
"""

# The number of a transaction means something in one database only. A row that came here with a copy of another one may
# name one that is still to come: no import takes an hour.
AT_WORK = """
    NOT pg_visible_in_snapshot(m.import_id::text::xid8, pg_current_snapshot())
    AND m.started_at > clock_timestamp() - interval '1 hour'
"""
"""Whether a mark `m` of `importing_images` holds."""
