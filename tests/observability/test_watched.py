"""A system that is watched: one trace through both services, the numbers of all workers, and no secret anywhere."""

import asyncio
import io
import secrets

import httpx
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from tests.fixtures.accounts import OWNER
from tests.fixtures.api import JWT_SECRET
from tests.fixtures.users import GATEWAY_TOKEN
from tests.observability.conftest import LINK_KEY, METRICS_TOKEN, PASSWORD, Watched
from tests.observability.receiver import Span, tree

SERVER, CLIENT = 2, 3  # opentelemetry.proto.trace.v1.Span.SpanKind


def _photo() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(buffer, "JPEG")
    return buffer.getvalue()


async def _dataset(client: httpx.AsyncClient) -> str:
    body = {"name": f"Watched {secrets.token_hex(4)}", "task_types": ["detection"], "visibility": "private"}
    answer = await client.post("/api/v1/datasets", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def _traceparent() -> tuple[str, str]:
    trace_id = secrets.token_hex(16)
    return trace_id, f"00-{trace_id}-{secrets.token_hex(8)}-01"


async def test_one_trace_spans_api_gateway_sql_and_storage(watched: Watched) -> None:
    client = await watched.log_in()
    dataset_id = await _dataset(client)
    trace_id, caller = secrets.token_hex(16), secrets.token_hex(8)
    headers = {"traceparent": f"00-{trace_id}-{caller}-01", "X-Request-Id": "one-trace"}
    files = [("files", ("train/traced.jpg", _photo()))]
    answer = await client.post(f"/api/v1/datasets/{dataset_id}/images", files=files, headers=headers)
    assert answer.is_success, answer.text
    await client.aclose()

    def whole() -> bool:
        return _has_arrived(watched.receiver.trace(trace_id), caller)

    await watched.receiver.until(whole)
    spans = watched.receiver.trace(trace_id)
    print("\n".join(tree(spans)))  # noqa: T201 - worth a look: pytest -s
    assert {span.parent_id for span in spans} - {span.span_id for span in spans} == {caller}
    _assert_is_one_tree(spans)
    line = await watched.until_logged(event="request", trace_id=trace_id)
    assert line["request_id"] == "one-trace"
    calls = [line for line in watched.gateway.lines if line.get("trace_id") == trace_id]
    assert {call["request_id"] for call in calls} == {"one-trace"}


def _has_arrived(spans: list[Span], caller: str) -> bool:
    """Whether everything that the test looks at is there. Each process sends batches, so a parent may come first.

    The root is no sign of the end: asyncpg reports a statement with call_soon, so COMMIT may end after the root.
    """
    ended = {(span.service, span.kind) for span in spans}
    names = {span.name.rstrip(";") for span in spans if span.service == "labeler_api"}
    asked = {span.span_id for span in spans if span.name.startswith("UserGatewayService/") and span.kind == CLIENT}
    answered = {span.parent_id for span in spans if span.service == "user_gateway" and span.kind == SERVER}
    return (
        {("labeler_api", SERVER), ("user_gateway", SERVER), ("user_gateway", CLIENT)} <= ended
        and {"BEGIN", "COMMIT", "SELECT", "S3 put_object"} <= names
        and asked == answered
        and {span.parent_id for span in spans} - {span.span_id for span in spans} == {caller}
    )


def _is_answered(spans: list[Span]) -> bool:
    return any((span.service, span.kind) == ("labeler_api", SERVER) for span in spans)


def _assert_is_one_tree(spans: list[Span]) -> None:
    by_id = {span.span_id: span for span in spans}
    [root] = [span for span in spans if span.parent_id not in by_id]
    assert root.service == "labeler_api"
    assert root.kind == SERVER
    assert root.name == "POST /api/v1/datasets/{dataset_id}/images"
    assert root.attributes["http.route"] == "/api/v1/datasets/{dataset_id}/images"
    asked = [span for span in spans if span.name.startswith("UserGatewayService/") and span.kind == CLIENT]
    answered = [span for span in spans if span.service == "user_gateway" and span.kind == SERVER]
    assert asked
    assert {span.parent_id for span in answered} == {span.span_id for span in asked}
    assert all(span.attributes["rpc.response.status_code"] == "OK" for span in answered)
    in_gateway = [span for span in spans if span.service == "user_gateway" and "db.query.text" in span.attributes]
    assert {by_id[span.parent_id].service for span in in_gateway} == {"user_gateway"}
    in_api = [span for span in spans if span.service == "labeler_api" and "db.query.text" in span.attributes]
    assert {"BEGIN", "COMMIT", "SELECT"} <= {span.name.rstrip(";") for span in in_api}
    assert any(span.name == "S3 put_object" for span in spans)


async def test_no_secret_is_logged_or_traced(watched: Watched) -> None:
    client = await watched.log_in()
    dataset_id = await _dataset(client)
    upload = [("files", ("train/secret.jpg", _photo()))]
    assert (await client.post(f"/api/v1/datasets/{dataset_id}/images", files=upload)).is_success
    images = (await client.get(f"/api/v1/datasets/{dataset_id}/images")).json()
    link = httpx.URL(images[0]["url"])
    thumbnail = httpx.URL(images[0]["thumbnail_url"])
    async with httpx.AsyncClient(timeout=30) as browser:
        for url in (link, thumbnail):
            shown = await browser.get(f"{watched.api}{url.raw_path.decode()}", headers={"X-Request-Id": "media-link"})
            assert shown.status_code == 200
        broken = f"{watched.api}{link.path}?{link.query.decode()}broken"
        assert (await browser.get(broken, headers={"X-Request-Id": "media-last"})).status_code in {403, 404, 422}
        wrong = {"email": "owner@example.com", "password": "a wrong password"}
        named = {"X-Request-Id": "wrong-password"}
        assert (await browser.post(f"{watched.api}/api/v1/auth/login", json=wrong, headers=named)).status_code == 401
        bad = {"Authorization": "Bearer not.a.token-of-ours", "X-Request-Id": "wrong-token"}
        assert (await browser.get(f"{watched.api}/api/v1/auth/me", headers=bad)).status_code == 401
    line = await watched.until_logged(request_id="media-link", route="/media/images/{dataset_id}/{image_id:path}")
    assert line["sent_bytes"] == len(_photo())
    # Each worker and the gateway send their own batches, so no trace says that the others are there.
    names = ("media-link", "media-last", "wrong-password", "wrong-token")
    traces = [(await watched.until_logged(request_id=name, event="request"))["trace_id"] for name in names]
    await watched.receiver.until(lambda: all(_is_answered(watched.receiver.trace(one)) for one in traces))
    token = str(client.headers["Authorization"]).removeprefix("Bearer ")
    await client.aclose()
    texts = "".join(watched.lines) + watched.gateway.stderr + watched.receiver.raw.decode("utf-8", "replace")
    assert "media-last" in texts
    for secret in (
        *link.params.values(),
        *thumbnail.params.values(),
        token,
        token.rpartition(".")[2],
        PASSWORD,
        "a wrong password",
        "not.a.token-of-ours",
        JWT_SECRET,
        LINK_KEY,
        GATEWAY_TOKEN,
        METRICS_TOKEN,
        "$2b$",
    ):
        if len(secret) > 3:  # a link's user id, or its window, is a number that stands everywhere
            assert secret not in texts, secret


async def test_every_request_line_says_all_of_it(watched: Watched) -> None:
    client = await watched.log_in()
    await client.get("/api/v1/datasets", headers={"X-Request-Id": "a-line-of-mine"})
    await client.aclose()
    line = await watched.until_logged(request_id="a-line-of-mine", event="request")
    assert line.keys() == {
        "event", "level", "timestamp", "request_id", "trace_id", "method", "route", "status", "outcome", "duration_ms",
        "statements", "user_id", "received_bytes", "sent_bytes",
    }  # fmt: skip
    assert line["method"] == "GET"
    assert line["route"] == "/api/v1/datasets"
    assert line["status"] == 200
    assert line["user_id"] == OWNER.id
    assert line["statements"] >= 1


def _numbers(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_numbers_are_those_of_all_workers(watched: Watched) -> None:
    headers = {"Authorization": f"Bearer {METRICS_TOKEN}"}
    root = ("labeler_http_requests_total", (("method", "GET"), ("route", "/"), ("status", "200")))
    # Every request over a connection of its own, so that both workers get some.
    no_reuse = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=watched.api, timeout=30, limits=no_reuse) as client:
        before = _numbers((await client.get("/metrics", headers=headers)).text).get(root, 0.0)
        pids = set()
        answers = await asyncio.gather(*(client.get("/") for _ in range(60)))
        assert {answer.status_code for answer in answers} == {200}
        for _ in range(5):  # whichever worker answers
            answer = await client.get("/metrics", headers=headers)
            assert answer.status_code == 200
            numbers = _numbers(answer.text)
            assert numbers[root] == before + 60
            pids |= {dict(labels).get("pid") for name, labels in numbers if name == "process_resident_memory_bytes"}
    assert len(pids) == 2
    assert numbers["labeler_object_store_calls_total", (("operation", "head_bucket"), ("result", "ok"))] >= 2
    assert numbers["labeler_db_connections", (("database", "labeler"), ("state", "max"))] == 2 * 11
    gateway_calls = {dict(labels)["method"] for name, labels in numbers if name == "labeler_gateway_calls_total"}
    assert "GetServiceInfo" in gateway_calls


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", f"Basic {METRICS_TOKEN}"])
async def test_the_numbers_are_for_who_knows_the_token(watched: Watched, authorization: str) -> None:
    async with httpx.AsyncClient() as client:
        for url in (f"{watched.api}/metrics", f"{watched.gateway_http}/metrics"):
            refused = await client.get(url, headers={"Authorization": authorization})
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert "labeler_" not in refused.text


async def test_the_gateway_counts_its_calls(watched: Watched) -> None:
    await (await watched.log_in()).aclose()
    async with httpx.AsyncClient() as client:
        answer = await client.get(
            f"{watched.gateway_http}/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"}
        )
        assert (await client.get(f"{watched.gateway_http}/health")).status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    numbers = _numbers(answer.text)
    labels = (("caller", "labeler"), ("code", "OK"), ("method", "VerifyCredentials"))
    assert numbers["user_gateway_calls_total", labels] >= 1
    assert numbers["user_gateway_call_seconds_count", (("method", "VerifyCredentials"),)] >= 1
    assert numbers["user_gateway_db_available", ()] == 1
    assert numbers["user_gateway_hash_slots", (("state", "used"),)] == 0
    assert numbers["user_gateway_hash_slots", (("state", "max"),)] >= 1
    assert numbers["user_gateway_db_connections", (("state", "max"),)] == 10
    assert numbers["process_resident_memory_bytes", ()] > 0
