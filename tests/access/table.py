"""docs/access.md as data: one rule a row of its tables."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from labeler_api.app import API_ROUTES, ROOT_ROUTES
from labeler_api.http.endpoint import operation_of

PAGE = Path(__file__).parents[2] / "docs/access.md"
CALLERS = ("nobody", "stranger", "viewer", "annotator", "reviewer", "admin", "owner", "system admin")
Visibility = Literal["private", "public"]

_ROW = re.compile(r"^\| (?P<number>\d+|[+–]) +\| `(?P<call>[A-Z]+ /\S*)` +\|(?P<case>[^|]*)\|(?P<cells>.*)\|$")
_CELL = re.compile(r"(none|[1-5]\d\d)(?:/(none|[1-5]\d\d))?")


@dataclass(frozen=True)
class Expected:
    """The answer to one caller: a status, and whether it shows or does nothing (`none` in the table)."""

    status: int
    nothing: bool = False

    @property
    def refused(self) -> bool:
        return self.nothing or self.status >= 400


@dataclass(frozen=True)
class Rule:
    """A row: a call, the case of it, and what each caller is answered."""

    number: str
    call: str
    case: str
    cells: tuple[str, ...]

    @property
    def method(self) -> str:
        return self.call.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.call.partition(" ")[2]

    @property
    def name(self) -> str:
        return f"{self.call} ({self.case})" if self.case else self.call

    def expected(self, caller: str, visibility: Visibility) -> Expected:
        match = _CELL.fullmatch(self.cells[CALLERS.index(caller)])
        assert match, f"{self.name}: the cell of {caller} is neither a status nor private/public: {self.cells}"
        word = (match[2] or match[1]) if visibility == "public" else match[1]
        return Expected(200, nothing=True) if word == "none" else Expected(int(word))


def rules() -> list[Rule]:
    """Every row of every table, in the order of the page."""
    found = []
    for line in PAGE.read_text().splitlines():
        if match := _ROW.match(line):
            cells = tuple(cell.strip() for cell in match["cells"].split("|"))
            found.append(Rule(match["number"], match["call"], match["case"].strip(), cells))
    return found


def calls_of(app: Starlette) -> set[str]:
    """Every method and path that the application answers, as the table writes them."""
    operations = {
        (prefix + operation.path, operation.method)
        for prefix, routes in (("/api/v1", API_ROUTES), ("", ROOT_ROUTES))
        for route in routes
        if (operation := operation_of(route))
    }
    described = {path for path, _ in operations}
    others = {found for route in app.routes for found in _found("", route) if found[0] not in described}
    return {f"{method} {path.replace(':path}', '}')}" for path, method in operations | others}


def _found(prefix: str, route: BaseRoute) -> set[tuple[str, str]]:
    """Path and method of what is routed, also of what no operation describes."""
    if isinstance(route, Mount):
        if route.routes:
            return {found for inner in route.routes for found in _found(prefix + route.path, inner)}
        return {(f"{prefix}{route.path}/{{path}}", "GET")}  # a folder of files
    assert isinstance(route, Route), f"{route}: a kind of route that the table knows nothing of"
    return {(prefix + route.path, method) for method in (route.methods or {"*"}) - {"HEAD"}}
