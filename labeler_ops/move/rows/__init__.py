"""Steps of a move of rows: looked at, backed up, copied, upgraded, given to the role that serves."""
