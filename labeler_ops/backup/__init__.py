"""Backups: dumped, hashed, kept in a folder or an S3 store, restored and compared."""
