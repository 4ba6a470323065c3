"""The move as one road: one engine, one run, one journal; dump, logical replication and objects are lists of phases."""
