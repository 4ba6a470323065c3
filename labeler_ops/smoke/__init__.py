"""Looking at a running deployment over HTTP: does everything work, and is it as fast as the one before."""
