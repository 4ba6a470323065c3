"""Whether two databases hold the same: every row of every table, every sequence, every definition.

Nothing is sampled and nothing estimated. Each side is read in one REPEATABLE READ snapshot that several connections
share, so that a side that is still written to is compared as of one moment. Both sides compute the same numbers from
the same texts; only where they disagree are rows fetched, to name them.
"""
