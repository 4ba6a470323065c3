"""Move a database by logical replication: it is copied while it is written to, and the stop is seconds long."""
