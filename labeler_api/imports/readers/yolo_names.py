"""Names of YOLO's classes: `names` of a data.yaml (a list, or numbers to names), or the lines of a classes.txt."""

import yaml

from labeler_api.imports.readers.items import MAX_CLASSES, FileClass, Unreadable

MAX_BYTES = 1024 * 1024  # 10 000 names of a hundred letters
_HAS_TO_BE = "has to be a list of names, such as [cat, dog], or numbers with names, such as {0: cat, 1: dog}"


def from_yaml(content: bytes) -> list[FileClass]:
    """Read a data.yaml. Raises Unreadable.

    With the loader that makes texts of everything: a class called `no` or `1` keeps its name, aliases are not
    multiplied out, and nothing is constructed.
    """
    try:
        document = yaml.load(content, Loader=yaml.BaseLoader)  # noqa: S506 - texts, lists and dictionaries only
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"data.yaml is not valid YAML{_where(error)}") from None
    names = document.get("names") if isinstance(document, dict) else None
    if isinstance(names, list):
        names = {str(number): name for number, name in enumerate(names)}
    if not isinstance(names, dict) or not names:
        raise Unreadable(f'data.yaml has no names of classes: "names" {_HAS_TO_BE}')
    return _classes(names)


def _where(error: Exception) -> str:
    """Say where a text stops to be YAML. What the library says of it are words for its own developers."""
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return f"; look at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""


def from_lines(content: bytes) -> list[FileClass]:
    """Read a classes.txt: a name a line. Raises Unreadable."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Unreadable("classes.txt is not UTF-8") from None
    while lines and not lines[-1].strip():
        lines.pop()
    return _classes({str(number): line.strip() or str(number) for number, line in enumerate(lines)})


def _classes(names: dict[object, object]) -> list[FileClass]:
    if len(names) > MAX_CLASSES:
        raise Unreadable(f"there are more than {MAX_CLASSES} classes")
    for number, name in names.items():
        if not isinstance(number, str) or not number.isascii() or not number.isdigit() or not isinstance(name, str):
            raise Unreadable(f'"names" in data.yaml {_HAS_TO_BE}')
    return [FileClass(str(int(str(number))), str(name)) for number, name in names.items()]
