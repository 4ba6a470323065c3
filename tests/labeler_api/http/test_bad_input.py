"""What no client should send, sent to every operation: 4xx with a sentence that helps, and no row is touched.

Made from the routes and from the good requests of tests/access, so that a new operation is covered with its route.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import pytest

from labeler_api.db.pool import Database
from labeler_api.http.endpoint import Operation
from tests.fixtures.access.callers import Callers
from tests.fixtures.access.calls import Ask, call_of
from tests.fixtures.access.sample import Sample, build
from tests.fixtures.access.table import rules
from tests.fixtures.api import Api
from tests.fixtures.operations import documented, name_of

JSON = "application/json"
REFUSED = {400, 404, 413, 422}
_LONGEST_DETAIL = 1000


@dataclass(frozen=True)
class Good:
    """An operation with a request that it would take."""

    operation: Operation
    call: str
    case: str

    def ask(self, sample: Sample) -> Ask:
        return call_of(self.call, self.case).ask(sample, "owner")


def _goods() -> list[Good]:
    by_name = {name_of(operation).replace(":path}", "}"): operation for operation in documented()}
    found: dict[str, Good] = {}
    for rule in rules():
        operation = by_name.get(rule.call.replace(" /api/v1", " ", 1)) or by_name.get(rule.call)
        if operation is not None and not rule.expected("owner", "private").refused:
            found.setdefault(rule.call, Good(operation, rule.call, rule.case))
    return list(found.values())


GOODS = _goods()
WITH_JSON = [good for good in GOODS if good.operation.body_type is not None]
WITH_FORM = [good for good in GOODS if good.operation.multipart is not None]


@dataclass
class Trial:
    """Sends what is bad, and remembers who took it for something else."""

    callers: Callers
    sample: Sample
    sent: int = 0

    def __post_init__(self) -> None:
        self.wrong: dict[str, str] = {}

    async def send(self, good: Good, what: str, **changed: Any) -> httpx.Response:
        ask = good.ask(self.sample)
        url = self.callers.url(good.call, self.sample, Ask(path={**ask.path, **changed.pop("path", {})}))
        params = {**ask.params, **changed.pop("params", {})}
        content, kind = changed.pop("content", None), changed.pop("content_type", JSON)
        body = {"json": ask.json} if content is None else {"content": content, "headers": {"Content-Type": kind}}
        method = good.call.partition(" ")[0]
        answer = await self.callers.client("owner").request(method, url, params=params, **body)
        self.sent += 1
        if fault := _fault(answer):
            self.wrong[f"{good.call}: {what}"] = f"{fault}: {answer.status_code} {answer.text[:200]}"
        return answer


def _fault(answer: httpx.Response) -> str | None:
    if answer.status_code not in REFUSED:
        return "not refused"
    body = answer.json()
    if not isinstance(body["detail"], str) or not 0 < len(body["detail"]) < _LONGEST_DETAIL:
        return "no useful detail"
    if "traceback" in answer.text.lower() or "asyncpg" in answer.text.lower():
        return "speaks of its inside"
    return None if body["code"] and body["request_id"] == answer.headers["x-request-id"] else "no code or request id"


@pytest.fixture
async def trial(api: Api) -> AsyncIterator[Trial]:
    """A dataset with everything in it; after the test nothing may have been refused wrongly or written at all."""
    callers = Callers(api)
    trial = Trial(callers, await build(api.db))
    before = await rows(api.db)
    yield trial
    await callers.close()
    assert trial.wrong == {}
    assert trial.sent
    assert await rows(api.db) == before


async def rows(db: Database) -> dict[str, tuple[int, int]]:
    """How many rows each table has, and what their versions add up to: any write at all changes it."""
    async with db.read() as connection:
        names = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        found = {}
        for row in names:
            sums = await connection.fetchrow(
                f'SELECT count(*) AS rows, coalesce(sum(xmin::text::bigint), 0) AS versions FROM "{row["relname"]}"'
            )
            assert sums is not None
            found[row["relname"]] = (int(sums["rows"]), int(sums["versions"]))
    return found


async def test_parameters(trial: Trial) -> None:
    """Negative and huge paging, unknown words, over-long texts, NUL, and what is no UTF-8."""
    for good in GOODS:
        for place, kind in (("path", good.operation.path_type), ("params", good.operation.query_type)):
            for field in msgspec.structs.fields(kind) if kind else ():
                for value in _bad_texts(field.type, empty=place == "params"):  # no segment of a path is empty
                    await trial.send(good, f"{field.name}={value[:20]!r}", **{place: {field.name: value}})
    for good in (good for good in GOODS if good.operation.query_type):
        ask = good.ask(trial.sample)
        url = f"{trial.callers.url(good.call, trial.sample, ask)}?{httpx.QueryParams(dict(ask.params))}&limit=%ff"
        answer = await trial.callers.client("owner").request(good.operation.method, url, json=ask.json)
        assert answer.status_code == 422, good.call
        assert answer.json()["errors"][0]["loc"] == ["query"], good.call


def _bad_texts(kind: Any, *, empty: bool) -> Iterator[str]:
    yield "a\0b"
    texts = ("-1", str(-(2**63)), str(2**64), "9" * 400, "1.5", "NaN", "x", "x" * 300, "true")
    for value in (*texts, "") if empty else texts:
        try:
            msgspec.convert(value, kind, strict=False)
        except (msgspec.ValidationError, ValueError):
            yield value


@pytest.mark.parametrize(
    ("what", "content"),
    [
        ("nothing", b""),
        ("cut off", b'{"name": "x"'),
        ("no JSON", b"name=x"),
        ("a list", b"[]"),
        ("null", b"null"),
        ("a text", b'"x"'),
        ("NaN", b'{"a": NaN}'),
        ("Infinity", b'{"a": -Infinity}'),
        ("no UTF-8", b'{"a": "\xff"}'),
        ("UTF-16", '{"a": 1}'.encode("utf-16")),
        ("two values", b"{} {}"),
        ("endless lists", b"[" * 100_000),
    ],
)
async def test_bodies_that_are_no_json_object(trial: Trial, what: str, content: bytes) -> None:
    for good in WITH_JSON:
        await trial.send(good, what, content=content)


async def test_bodies_that_would_be_good_but_for_one_thing(trial: Trial) -> None:
    for good in WITH_JSON:
        body = json.dumps(good.ask(trial.sample).json).encode()
        more = body[:-1] + (b", " if body != b"{}" else b"")
        name = body[1 : body.index(b":")] if b":" in body else b'"a": 1, "a"'
        deep = b"[" * 32 + b"]" * 32
        for what, content in {
            "equal names": more + name + b": 1}",
            "equal names below": more + b'"x": {"a": [{"b": 1, "\\u0062": 2}]}}',
            "33 levels": more + b'"x": ' + deep + b"}",
            "3 000 levels": more + b'"x": ' + b"[" * 3000 + b"]" * 3000 + b"}",
            "an escaped NUL": more + b'"x": "a\\u0000"}',
            "half a surrogate pair": more + b'"x": "\\ud800"}',
            "no UTF-8": more + b'"x": "\xc3\x28"}',
            "no finite number": more + b'"x": 1e999}',
            "400 digits": more + b'"x": ' + b"9" * 400 + b"}",
            "cut off": body[:-1],
        }.items():
            answer = await trial.send(good, what, content=content)
            assert answer.status_code == 422, (good.call, what, answer.text)
        await trial.send(good, "a form", content=b"a=1", content_type="application/x-www-form-urlencoded")
        await trial.send(good, "JSON under another name", content=body, content_type="text/plain")


async def test_members_of_another_type_length_or_range(trial: Trial) -> None:
    for good in WITH_JSON:
        body = good.ask(trial.sample).json
        for field in msgspec.structs.fields(_struct(good.operation)):
            for value in _bad_values(field.type):
                changed = {**body, field.encode_name: value}
                await trial.send(good, f"{field.name}={str(value)[:20]}", content=json.dumps(changed).encode())
            if field.required:
                without = {name: value for name, value in body.items() if name != field.encode_name}
                await trial.send(good, f"without {field.name}", content=json.dumps(without).encode())


def _struct(operation: Operation) -> type[msgspec.Struct]:
    kind = operation.body_type
    return getattr(kind, "__origin__", kind)  # type: ignore[no-any-return]


def _bad_values(kind: Any) -> Iterator[Any]:
    """Values of another type, over-long, out of range, or beyond 64 bits; those that the type takes are left out."""
    numbers: list[Any] = [True, -1, 1.5, 2**31, 2**63, 2**64, 10**40]
    for value in (*numbers, None, "", "unknown", "a@b@c", "x" * 10_001, [], [[]], {}, {"": 1}):
        try:
            msgspec.json.decode(json.dumps(value), type=kind)
        except msgspec.ValidationError:
            yield value


async def test_bodies_over_the_limit(trial: Trial) -> None:
    """One byte too many: announced, and in chunks that announce nothing."""

    async def chunked(size: int) -> AsyncIterator[bytes]:
        for start in range(0, size, 65536):
            yield b" " * min(65536, size - start)

    # Every operation reads by the same function; the larger limits are tried once.
    limits: dict[int, list[Good]] = {}
    for good in WITH_JSON:
        limit = good.operation.json_limit(trial.callers.api.services.settings.max_json_bytes)
        limits.setdefault(limit, []).append(good)
    for limit, goods in limits.items():
        for good in goods:
            answer = await trial.send(good, "announced", content=b" " * (limit + 1))
            assert answer.status_code == 413, answer.text
            assert str(limit) in answer.json()["detail"], answer.text
        assert (await trial.send(goods[0], "in chunks", content=chunked(limit + 1))).status_code == 413
        assert (await trial.send(goods[0], "chunks of blanks", content=chunked(1000))).status_code == 422


async def test_forms(trial: Trial) -> None:
    start = b'--b\r\nContent-Disposition: form-data; name="'
    for good in WITH_FORM:
        for what, content, kind in (
            ("nothing", b"", "multipart/form-data; boundary=b"),
            ("no boundary", b"", "multipart/form-data"),
            ("JSON", b"{}", JSON),
            ("no form", b"x" * 1000, "multipart/form-data; boundary=b"),
            ("cut in a header", start, "multipart/form-data; boundary=b"),
            ("cut in a field", start + b'dataset_name"\r\n\r\nx', "multipart/form-data; boundary=b"),
            ("a NUL", start + b'dataset_name"\r\n\r\na\0b\r\n--b--\r\n', "multipart/form-data; boundary=b"),
            ("no UTF-8", start + b'dataset_name"\r\n\r\n\xff\r\n--b--\r\n', "multipart/form-data; boundary=b"),
            ("another form", b"a=1", "application/x-www-form-urlencoded"),
        ):
            await trial.send(good, what, content=content, content_type=kind)


async def test_keys_and_versions_in_headers(trial: Trial) -> None:
    client = trial.callers.client("owner")
    for good in GOODS:
        names = ["Idempotency-Key"] if good.operation.idempotent else []
        names += ["If-Match"] if good.operation.if_match else []
        for name in names:
            for value in (b"", b"a b", "ü".encode(), b"x" * 256):
                ask = good.ask(trial.sample)
                url = trial.callers.url(good.call, trial.sample, ask)
                answer = await client.request(
                    good.operation.method, url, params=dict(ask.params), json=ask.json, headers={name.encode(): value}
                )
                trial.sent += 1
                assert answer.status_code == 422, (good.call, name, value, answer.text)
