"""One spelling for definitions that PostgreSQL writes in two ways."""

import re

# `x IN ('a', 'b')` on a varchar column has a cast for the list where it was typed in, and one for each value where it
# was restored from a dump.
_VALUE_CAST = re.compile(r"\(('(?:[^']|'')*'::[a-z ]+)\)::text\b")
_LIST_CAST = re.compile(r"\(ARRAY\[((?:'(?:[^']|'')*'|[^\]'])*)\]\)::text\[\]")


def normalize_definition(definition: str) -> str:
    """Spell a list of values one way; the values themselves stay."""
    return _LIST_CAST.sub(r"ARRAY[\1]", _VALUE_CAST.sub(r"\1", definition))
