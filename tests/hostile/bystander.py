"""Another person at work while somebody attacks: a program of its own, so that the attack's client cannot delay it.

`python -m tests.hostile.bystander PLAN` reads a plan as JSON: the API's URL and token, the calls by name, and the URL
of a bare server beside it. It makes the calls in turn, over kept connections, until its standard input ends. It prints
`begun` when it has made each once, and at the end `{name: {"seconds": [...], "failures": [...]}}`. A failure is a
status over 299, or no answer in ANSWER_SECONDS.
"""

import http.client
import itertools
import json
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

ANSWER_SECONDS = 35.0  # longer than the 30 s in which the API has to answer
_PAUSE_SECONDS = 0.02  # between two calls: a busy person, not a load
_FIRST_ERROR = 300


@dataclass
class Seen:
    """What came of one call, each time it was made."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Line:
    """A kept connection to one server; opened anew after a failure."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=ANSWER_SECONDS)
        self._headers = headers

    def call(self, seen: Seen, method: str, path: str, body: Any) -> None:
        data = None if body is None else json.dumps(body).encode()
        started = time.perf_counter()
        try:
            self._connection.request(method, path, data, {**self._headers, "Content-Type": "application/json"})
            answer = self._connection.getresponse()
            text = answer.read()
            if answer.status >= _FIRST_ERROR:
                seen.failures.append(f"{answer.status} {text[:200]!r}")
        except (OSError, http.client.HTTPException) as error:
            seen.failures.append(repr(error))
            self._connection.close()
        seen.seconds.append(time.perf_counter() - started)


def work(plan: dict[str, Any], ended: threading.Event) -> dict[str, Seen]:
    """Make the calls of the plan in turn until the event is set."""
    api = Line(plan["url"], {"Authorization": f"Bearer {plan['token']}"})
    bare = Line(plan["bare"], {})
    seen = {name: Seen() for name in [*plan["calls"], "bare"]}
    for turn in itertools.count():
        if turn == 1:
            print("begun", flush=True)  # noqa: T201 - every call was made once
        for name, (method, path, body) in plan["calls"].items():
            api.call(seen[name], method, path, body)
            bare.call(seen["bare"], "GET", "/", None)
            if ended.wait(_PAUSE_SECONDS):
                return seen
    raise AssertionError("the turns never end")


def main() -> None:
    plan = json.loads(sys.argv[1])
    ended = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    seen = work(plan, ended)
    json.dump({name: asdict(each) for name, each in seen.items()}, sys.stdout)


if __name__ == "__main__":
    main()
