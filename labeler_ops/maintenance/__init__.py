"""Maintenance mode: nobody writes to the Labeler DB, everybody may read it."""
