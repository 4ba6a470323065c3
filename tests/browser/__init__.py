"""The API seen from a browser: pages of another origin, in headless Chromium. `make test-browser` runs these."""
