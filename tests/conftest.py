"""Real servers for every test; the fixtures live in tests/fixtures."""

pytest_plugins = [
    "tests.fixtures.postgres",
    "tests.fixtures.storage",
    "tests.fixtures.schema",
    "tests.fixtures.users",
    "tests.fixtures.api",
]
