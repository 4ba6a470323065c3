"""The API seen from a browser: a page of another origin, in headless Chromium. `make test-browser` runs these."""
