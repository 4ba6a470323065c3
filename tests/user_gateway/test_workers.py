"""USER_GATEWAY_WORKERS: several processes on one port that are one gateway to everybody outside."""

import asyncio
import json
import signal
import socket
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import grpc
import httpx
import psutil
import pytest

from service_kit.settings import EXIT_CONFIGURATION, SettingsError
from tests.fixtures.gateway_calls import Calls
from tests.fixtures.gateway_process import GatewayProcess, Start
from tests.fixtures.users import GATEWAY_TOKEN, UsersDatabase, gateway_settings
from tests.fixtures.waiting import until
from tests.user_gateway.proxy import Proxy
from user_gateway.hash_slots import SharedSlots

_WORKERS = 2
_CONNECTIONS = 24  # that all go to one of two: once in eight million runs


async def start_workers(start: Start, dsn: str, **variables: str) -> GatewayProcess:
    return await start(dsn, USER_GATEWAY_WORKERS=str(_WORKERS), PORT="0", **variables)


def pids(process: GatewayProcess) -> set[int]:
    return {child.pid for child in psutil.Process(process.process.pid).children()}


async def get_by_many(address: str) -> None:
    """Call once from each of many clients, each with a connection of its own."""
    for _ in range(_CONNECTIONS):
        async with Calls(address, GATEWAY_TOKEN) as calls:
            assert (await calls.get(id=1)).id == 1


async def metrics(process: GatewayProcess) -> dict[str, float]:
    """The sums over all label values but the process's."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{process.ready['health_port']}/metrics")
    assert answer.status_code == 200
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def health(process: GatewayProcess) -> int:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{process.ready['health_port']}/health")).status_code


async def test_they_are_one_gateway(users_db: UsersDatabase, start: Start, tmp_path: Path) -> None:
    """One port, one ready file, connections for each, numbers and password slots of all, one end. One start for all."""
    file = tmp_path / "ready.json"
    variables = {"USER_GATEWAY_HASH_SLOTS": "1", "USER_GATEWAY_READY_FILE": str(file), "PORT": "0"}
    process = await start(users_db.dsn, ready=False, USER_GATEWAY_WORKERS=str(_WORKERS), **variables)

    async def written() -> bool:
        return file.exists()

    async def all_listen() -> bool:
        return Counter(line["event"] for line in process.lines)["listening"] == _WORKERS

    await until(written, 30.0, "the ready file")
    process.ready = json.loads(file.read_text())
    assert process.ready["pid"] == process.process.pid
    await until(all_listen, 30.0, "the line of each worker")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Calls(process.address, GATEWAY_TOKEN)) for _ in range(_CONNECTIONS)]
        assert [(await client.get(id=1)).id for client in clients] == [1] * _CONNECTIONS
        held = [established(pid, process.ready["port"]) for pid in pids(process)]
        assert len(held) == _WORKERS
        assert sum(held) == _CONNECTIONS
        assert min(held) > 0, "each has a part of the connections"
        await users_db.execute("UPDATE users SET hashed_password = $1", "$2b$13$" + "a" * 53)  # a check takes a while
        answers = Counter(await asyncio.gather(*(log_in(client) for client in clients)))
        assert answers == {"OK": 1, "RESOURCE_EXHAUSTED": _CONNECTIONS - 1}, "one slot for all of them"
    await add_up(process)
    assert await health(process) == 200
    process.terminate()
    assert await process.ended() == 0
    assert Counter(line["event"] for line in process.lines)["stopped"] == _WORKERS
    assert not any(line["level"] == "error" for line in process.lines)


def established(pid: int, port: int) -> int:
    """How many connections of clients a worker has."""
    connections = psutil.Process(pid).net_connections("inet")
    return sum(one.status == psutil.CONN_ESTABLISHED and one.laddr.port == port for one in connections)


async def log_in(client: Calls) -> str:
    try:
        await client.verify("owner@example.com", "owner123")
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


async def add_up(process: GatewayProcess) -> None:
    """See the numbers of both workers as those of one gateway."""

    async def counted() -> bool:
        name = 'user_gateway_calls_total{caller="labeler",code="OK",method="GetUser"}'
        return (await metrics(process)).get(name) == _CONNECTIONS

    await until(counted, 5.0, "the calls of both")
    numbers = await metrics(process)
    assert numbers['user_gateway_db_connections{state="max"}'] == 10 * _WORKERS
    assert numbers['user_gateway_hash_slots{state="max"}'] == 1
    assert numbers["user_gateway_db_available"] == 1
    assert sum(name.startswith("process_open_fds{") for name in numbers) == _WORKERS


async def test_a_worker_that_is_killed_is_replaced(users_dsn: str, start: Start) -> None:
    process = await start_workers(start, users_dsn)
    before = pids(process)
    killed = min(before)
    psutil.Process(killed).kill()

    async def replaced() -> bool:
        now = pids(process)
        return len(now) == _WORKERS and killed not in now

    await until(replaced, 20.0, "another worker")
    assert before - {killed} <= pids(process), "the other one goes on"
    await get_by_many(process.address)  # no connection goes to one that is gone
    assert await health(process) == 200
    assert [line["pid"] for line in process.lines if "replaced" in line["event"]] == [killed]
    children = [psutil.Process(pid) for pid in pids(process)]
    process.process.kill()

    async def gone() -> bool:
        return not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)

    try:
        await until(gone, 20.0, "workers end with their supervisor")
    finally:
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()


async def test_a_role_that_could_write_ends_them_all(shared_users: UsersDatabase, start: Start) -> None:
    process = await start(shared_users.admin_dsn, ready=False, USER_GATEWAY_WORKERS=str(_WORKERS))
    assert await process.ended() == EXIT_CONFIGURATION
    assert process.stderr.count("could write to the User DB") == 1
    assert "Traceback" not in process.stderr


async def test_each_worker_proves_its_role_and_their_health_is_one(users_db: UsersDatabase, start: Start) -> None:
    """A database that goes away, and comes back with a role that may write; its worker is replaced meanwhile."""
    async with Proxy(users_db.dsn) as proxy:
        process = await start_workers(start, proxy.dsn)
        assert await health(process) == 200

        async def is_unhealthy() -> bool:
            return await health(process) == 503

        async def is_well() -> bool:
            return await health(process) == 200

        await proxy.cut()
        await until(is_unhealthy, 10.0, "503 while the database is away")
        await users_db.execute("GRANT INSERT ON users TO user_readonly")
        await proxy.restore()
        await asyncio.sleep(3.0)  # each worker has looked by then
        assert await health(process) == 503, "the role of each may write"
        await users_db.execute("REVOKE INSERT ON users FROM user_readonly")
        await until(is_well, 20.0, "200 without the grant")


async def test_a_taken_port_is_a_clear_error(users_dsn: str, start: Start) -> None:
    """Nobody shares a port with another gateway by mistake, whichever of them has workers."""
    one, many = await start(users_dsn), await start_workers(start, users_dsn)
    for port, count in ((one.ready["port"], 2), (many.ready["port"], 1), (many.ready["port"], 2)):
        variables = {"USER_GATEWAY_PORT": str(port), "USER_GATEWAY_WORKERS": str(count)}
        process = await start(users_dsn, ready=False, **variables)
        assert await process.ended() == EXIT_CONFIGURATION
        assert "is the port taken? Set USER_GATEWAY_PORT" in process.stderr
        assert "Traceback" not in process.stderr


async def test_a_taken_health_port_is_a_clear_error(users_dsn: str, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = await start(users_dsn, ready=False, USER_GATEWAY_WORKERS="2", PORT=port)
        assert await process.ended() == EXIT_CONFIGURATION
        assert f"cannot listen on PORT={port}" in process.stderr


def test_elsewhere_than_on_linux_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(SettingsError, match="USER_GATEWAY_WORKERS: several processes on one port need Linux"):
        gateway_settings("postgresql://reader@localhost/users", USER_GATEWAY_WORKERS="2")
    gateway_settings("postgresql://reader@localhost/users", USER_GATEWAY_WORKERS="1")


def test_password_slots_are_those_of_all_workers(tmp_path: Path) -> None:
    """Two that open the same directory, as two processes do."""
    one, other = SharedSlots(tmp_path, 3), SharedSlots(tmp_path, 3)
    taken = [one.take(), one.take(), other.take()]
    assert None not in taken
    assert one.take() is None
    assert other.take() is None
    assert not one.free
    release = taken[0]
    assert release is not None
    release()
    assert other.free
    assert other.take() is not None
    assert one.take() is None


async def test_a_signal_loses_no_call_that_was_accepted(users_dsn: str, start: Start) -> None:
    process = await start_workers(start, users_dsn, USER_GATEWAY_DRAIN_SECONDS="0.3")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Calls(process.address, GATEWAY_TOKEN)) for _ in range(8)]
        assert [(await client.get(id=1)).id for client in clients] == [1] * 8
        accepted = [asyncio.ensure_future(client.get(id=2)) for client in clients for _ in range(10)]
        await accepted[0]
        process.process.send_signal(signal.SIGINT)
        assert {user.id for user in await asyncio.gather(*accepted)} == {2}
        assert await health(process) in {200, 503}  # told or not yet
    assert await process.ended() == 0
