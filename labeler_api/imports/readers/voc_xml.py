"""XML of Pascal VOC into elements: no document type, no entities, nothing deeper or longer than such a file is."""

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from labeler_api.imports.readers.outlines import MalformedShape

_MAX_DEPTH = 32  # as JSON's; five are used


def parsed(content: bytes) -> Element:
    """Parse a file. Raises Malformed."""
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise MalformedShape(f"is nested deeper than {_MAX_DEPTH} levels")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse(*_: object) -> None:
        raise MalformedShape("has a document type (<!DOCTYPE …>), which is not read; leave it out")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
        return builder.close()
    except expat.ExpatError as error:
        raise MalformedShape(f"is not valid XML; look at line {error.lineno}, column {error.offset + 1}") from None
    except (ValueError, LookupError) as error:  # an encoding that nobody knows
        if isinstance(error, MalformedShape):
            raise
        raise MalformedShape("is in an encoding that is not known; write UTF-8") from None
