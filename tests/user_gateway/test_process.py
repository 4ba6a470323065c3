"""The process: start, ports, exit codes, the HTTP health call, SIGTERM under load, memory under load."""

import asyncio
import json
import socket
from collections import Counter
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import httpx
import psutil
import pytest

from labeler_api.user_directory.directory import SERVICE_CONFIG
from proto.users.v1 import user_gateway_pb2 as pb
from tests.fixtures.gateway_calls import Calls
from tests.fixtures.gateway_process import Start
from tests.fixtures.timing import check_within
from tests.fixtures.users import GATEWAY_TOKEN, UsersDatabase, locked_users
from tests.fixtures.waiting import until
from tests.user_gateway.proxy import Proxy
from user_gateway.server import SERVICE_NAME

EXIT_CONFIGURATION = 78


async def test_it_tells_its_port_and_serves(users_dsn: str, start: Start) -> None:
    process = await start(users_dsn)
    assert process.ready["pid"] == process.process.pid
    assert process.ready["health_port"] is None
    async with Calls(process.address, GATEWAY_TOKEN) as calls:
        assert (await calls.get(id=1)).id == 1
    process.terminate()
    assert await process.ended() == 0
    assert [line["event"] for line in process.lines] == ["the User DB answers", "listening", "call", "stopped"]


async def test_the_ready_file(users_dsn: str, start: Start, tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    await start(users_dsn, ready=False, USER_GATEWAY_READY_FILE=str(file))

    async def written() -> bool:
        return file.exists()

    await until(written, 20.0, "the ready file")
    assert json.loads(file.read_text())["port"] > 0
    assert not list(tmp_path.glob(".*"))  # noqa: ASYNC240 - a look into a directory of one file


@pytest.mark.parametrize("host", ["::", "0.0.0.0", "127.0.0.1", "localhost", ""])
async def test_hosts(users_dsn: str, start: Start, host: str) -> None:
    process = await start(users_dsn, USER_GATEWAY_HOST=host)
    async with Calls(process.address, GATEWAY_TOKEN) as calls:
        assert await calls.serving()


async def test_a_taken_port_is_a_clear_error(users_dsn: str, start: Start) -> None:
    first = await start(users_dsn)
    second = await start(users_dsn, ready=False, USER_GATEWAY_PORT=str(first.ready["port"]))
    assert await second.ended() == EXIT_CONFIGURATION
    assert "is the port taken? Set USER_GATEWAY_PORT" in second.stderr
    assert "Traceback" not in second.stderr


async def test_a_taken_health_port_is_a_clear_error(users_dsn: str, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await start(users_dsn, ready=False, PORT=str(port))
        assert await process.ended() == EXIT_CONFIGURATION
        assert f"cannot listen on PORT={port}" in process.stderr


async def test_a_wrong_variable_ends_it_before_anything_starts(users_dsn: str, start: Start) -> None:
    process = await start(users_dsn, ready=False, USER_GATEWAY_TOKENS="")
    assert await process.ended() == EXIT_CONFIGURATION
    assert process.stderr.startswith("user_gateway: USER_GATEWAY_TOKENS is not set.")
    assert len(process.stderr.splitlines()) == 1


async def test_a_role_that_could_write_ends_it(shared_users: UsersDatabase, start: Start) -> None:
    process = await start(shared_users.admin_dsn, ready=False)
    assert await process.ended() == EXIT_CONFIGURATION
    assert "could write to the User DB: it has the role attribute SUPERUSER" in process.stderr
    assert "Traceback" not in process.stderr
    allowed = await start(shared_users.admin_dsn, USER_DB_ALLOW_WRITABLE="1")
    assert any(line["level"] == "warning" and "ALLOW_WRITABLE" in line["event"] for line in allowed.lines)


async def test_a_wrong_password_is_named_in_the_log(users_dsn: str, start: Start) -> None:
    process = await start(users_dsn.replace("reads%20users%20only", "wrong"))

    async def named() -> bool:
        return any("password authentication failed" in line.get("why", "") for line in process.lines)

    await until(named, 5.0, "the reason in the log")
    async with Calls(process.address, GATEWAY_TOKEN) as calls:
        assert not await calls.serving()


async def test_a_url_that_cannot_work_ends_it(users_dsn: str, start: Start) -> None:
    process = await start(users_dsn + "?sslmode=perhaps", ready=False)
    assert await process.ended() == EXIT_CONFIGURATION
    assert "user_gateway: USER_DB_URL: `sslmode` parameter must be one of" in process.stderr
    assert "Traceback" not in process.stderr


async def test_http_health(users_db: UsersDatabase, start: Start) -> None:
    async with Proxy(users_db.dsn) as proxy:
        process = await start(proxy.dsn, PORT="0")
        url = f"http://127.0.0.1:{process.ready['health_port']}"
        async with httpx.AsyncClient(base_url=url, headers={"Host": "healthcheck.railway.app"}) as client:
            answer = await client.get("/health")
            assert answer.status_code == 200
            assert answer.json() == {"status": "serving"}
            assert (await client.get("/health?x=1")).status_code == 200
            assert (await client.head("/health")).status_code == 200
            assert (await client.get("/")).status_code == 404
            assert (await client.post("/health")).status_code == 404
            await proxy.cut()

            async def unhealthy() -> bool:
                return (await client.get("/health")).status_code == 503

            await until(unhealthy, 5.0, "503")
        reader, writer = await asyncio.open_connection("127.0.0.1", process.ready["health_port"])
        writer.write(b"\xff" * 40_000 + b"\r\n\r\n")  # no HTTP, and a line over the limit
        # Closed without an answer; as a reset when bytes were left unread, which TCP decides and not the gateway.
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/health")).status_code in {200, 503}


async def test_sigterm_loses_no_call_that_was_accepted(users_db: UsersDatabase, start: Start) -> None:
    process = await start(users_db.dsn, USER_GATEWAY_DRAIN_SECONDS="0.3")
    async with Calls(process.address, GATEWAY_TOKEN) as calls, Calls(process.address, None) as health:
        async with locked_users(users_db) as statements:
            accepted = [asyncio.ensure_future(calls.get(id=number % 6 + 1)) for number in range(40)]
            await until(statements(10), 10.0, "the pool is busy, the others wait for it")
            process.terminate()

            async def draining() -> bool:
                return not await health.serving()

            await until(draining, 5.0, "NOT_SERVING is shown")
            accepted.append(asyncio.ensure_future(calls.get(id=1)))  # while it drains, calls are still taken
            await asyncio.wait(accepted, timeout=0.6)  # the drain is over by then
            assert not any(call.done() for call in accepted)
        users = await asyncio.gather(*accepted)
        assert [user.id for user in users] == [number % 6 + 1 for number in range(40)] + [1]
    assert await process.ended() == 0
    assert Counter(line.get("code") for line in process.lines if line["event"] == "call") == {"OK": 41}


class Load:
    """Clients that ask again and again, each until its first error or until told to stop."""

    def __init__(self, *, clients: int, stop_at_an_error: bool) -> None:
        self.answers: Counter[str] = Counter()
        self._clients = clients
        self._stop_at_an_error = stop_at_an_error
        self._over = False

    async def run(self, calls: Calls) -> None:
        await asyncio.gather(*(self._ask(calls) for _ in range(self._clients)))

    async def more_than(self, count: int) -> None:
        wanted = self.answers["OK"] + count

        async def enough() -> bool:
            return self.answers["OK"] >= wanted

        await until(enough, 30.0, f"{count} calls more")

    def end(self) -> None:
        self._over = True

    async def _ask(self, calls: Calls) -> None:
        while not self._over:
            try:
                await calls.get(id=1)
            except grpc.aio.AioRpcError as error:
                self.answers[error.code().name] += 1
                if self._stop_at_an_error:
                    return
            else:
                self.answers["OK"] += 1


async def test_sigterm_under_load_answers_every_call_that_was_taken(users_dsn: str, start: Start) -> None:
    process = await start(users_dsn)
    load = Load(clients=20, stop_at_an_error=True)
    async with Calls(process.address, GATEWAY_TOKEN) as calls:
        asking = asyncio.ensure_future(load.run(calls))
        await load.more_than(300)
        process.terminate()
        await asking
    assert await process.ended() == 0
    # Each of the twenty ends with the one call that found nobody, or that reached the closing connection.
    assert set(load.answers) <= {"OK", "UNAVAILABLE", "CANCELLED"}
    assert load.answers.total() - load.answers["OK"] == 20
    served = Counter(line["code"] for line in process.lines if line["event"] == "call")
    assert served == {"OK": load.answers["OK"]}


@pytest.mark.slow
async def test_sigterm_ends_within_its_grace_whoever_calls(users_dsn: str, start: Start) -> None:
    """Twenty times beside clients that watch no health and go on asking; some of the stops took over a minute."""
    for _ in range(20):
        settings = {"USER_GATEWAY_DRAIN_SECONDS": "0.1", "USER_GATEWAY_GRACE_SECONDS": "3", "LOG_LEVEL": "WARNING"}
        process = await start(users_dsn, **settings)
        load = Load(clients=32, stop_at_an_error=False)
        async with Calls(process.address, GATEWAY_TOKEN) as calls:
            asking = asyncio.ensure_future(load.run(calls))
            await load.more_than(100)
            process.terminate()
            started = monotonic()
            assert await process.ended() == 0
            check_within(monotonic() - started, 3.1 + 5.0)  # drain and grace; a busy machine on top
            load.end()
            await asking


async def test_sigterm_waits_for_no_call_that_nobody_works_on(users_dsn: str, start: Start) -> None:
    """A call whose request never comes: no handler has it. One in twenty stops under load left such a call behind."""
    process = await start(users_dsn, USER_GATEWAY_DRAIN_SECONDS="0", USER_GATEWAY_GRACE_SECONDS="60")
    async with Calls(process.address, GATEWAY_TOKEN) as calls:
        path = f"/{SERVICE_NAME}/GetUser"
        opened: Any = calls.channel.stream_unary(path, response_deserializer=pb.GetUserResponse.FromString)
        waiting = opened(metadata=calls.metadata, timeout=90)  # nothing is ever written to it
        await waiting.wait_for_connection()
        assert (await calls.get(id=1)).id == 1  # on the same connection, so the other has arrived
        process.terminate()
        assert await process.ended() == 0  # within its twenty seconds, a third of the grace
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await waiting
        assert caught.value.code() in {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}  # not its deadline


NODE_CONFIG = Path(__file__).parents[2] / "docs" / "user-gateway.node.service-config.json"


@pytest.mark.parametrize("retries", [False, True])
async def test_a_rolling_restart_loses_at_most_what_is_in_flight(users_dsn: str, start: Start, retries: bool) -> None:
    """Clients without the health watch, as grpc-js is; with the retries that are documented for it, nothing is lost."""
    first, second = await start(users_dsn), await start(users_dsn)
    load = Load(clients=20, stop_at_an_error=False)
    config = json.loads(NODE_CONFIG.read_text()) if retries else {"loadBalancingConfig": [{"round_robin": {}}]}
    async with Calls(f"ipv4:{first.address},{second.address}", GATEWAY_TOKEN, service_config=config) as calls:
        asking = asyncio.ensure_future(load.run(calls))
        await load.more_than(300)
        first.terminate()
        assert await first.ended() == 0
        await load.more_than(300)
        load.end()
        await asking
    assert load.answers.total() - load.answers["OK"] <= (0 if retries else 20)
    assert set(load.answers) <= {"OK", "UNAVAILABLE", "CANCELLED"}


async def test_a_rolling_restart_under_load_fails_no_call(users_dsn: str, start: Start) -> None:
    first, second = await start(users_dsn), await start(users_dsn)
    load = Load(clients=20, stop_at_an_error=False)
    addresses = f"ipv4:{first.address},{second.address}"
    # As the directory of labeler_api does, but without a single retry.
    config = {key: SERVICE_CONFIG[key] for key in ("healthCheckConfig", "loadBalancingConfig")}
    async with Calls(addresses, GATEWAY_TOKEN, service_config=config) as calls:
        asking = asyncio.ensure_future(load.run(calls))
        await load.more_than(300)
        first.terminate()
        assert await first.ended() == 0
        await load.more_than(300)
        load.end()
        await asking
    assert set(load.answers) == {"OK"}
    served = [sum(line["event"] == "call" for line in process.lines) for process in (first, second)]
    assert min(served) > 100, "both had their share"


@pytest.mark.slow
async def test_ten_thousand_calls_at_once_leave_no_memory_behind(users_dsn: str, start: Start) -> None:
    # One arena: glibc takes another for a thread when it likes, which is no leak.
    variables = {"MALLOC_ARENA_MAX": "1", "LOG_LEVEL": "WARNING", "USER_GATEWAY_CALL_SECONDS": "60"}
    process = await start(users_dsn, **variables)
    memory = psutil.Process(process.process.pid).memory_info
    async with Calls(process.address, GATEWAY_TOKEN) as calls:

        async def ask(times: int) -> None:
            await asyncio.gather(*(calls.call("GetUser", pb.GetUserRequest(id=1), 60) for _ in range(times)))

        async def waves(number: int) -> int:
            for _ in range(number):
                await ask(200)
            return memory().rss

        await ask(10_000)  # none is refused
        before = await waves(25)  # the allocators have taken what such a crowd needs
        assert await waves(25) < before * 1.1
