"""`labeler move check`: everything that fails in practice, looked at before anything is done."""
