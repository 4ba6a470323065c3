"""Long lists of texts as one parameter of a statement.

asyncpg looks at each text of an array: fifty thousand take 15 ms of the event loop, and as one text of JSON 1 ms. The
statement unpacks it: `jsonb_array_elements_text($1::text::jsonb)`. PostgreSQL expects a hundred texts there, however
many come. So a statement asks whether a value is IN them, as a test of its own that no join can be made of, or takes
what is stored from keys that it looks up: then each text is looked for once, in a hash.
"""

from collections.abc import Sequence

import msgspec


def json_text(texts: Sequence[str]) -> str:
    """Return a list of texts as one parameter."""
    return msgspec.json.encode(texts).decode()
