"""Move a database to another server and back: preflight, backup, copy, verify, switch, and the way back."""
