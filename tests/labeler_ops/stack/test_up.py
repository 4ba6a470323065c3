"""`labeler up`, whole: real parts, a process of its own, over HTTP."""

import asyncio
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import asyncpg
import httpx
import pytest

from labeler_ops.stack.accounts import ACCOUNTS
from labeler_ops.stack.object_store import SeaweedServer
from tests.fixtures.postgres import DatabaseFactory
from tests.fixtures.running_stack import LABELER, PARTS, Up, clean_environment, datasets, log_in, processes_in
from tests.fixtures.users import UsersDatabase


def test_the_ready_file_says_where_everything_is_and_everything_answers(home: Path, tmp_path: Path) -> None:
    with Up(home, files=tmp_path) as up:
        facts = up.ready()
        assert set(facts) == {"api", "gateway", "storage", "databases", "accounts", "pids"}
        assert stat.S_IMODE(up.ready_file.stat().st_mode) == 0o600
        assert set(facts["databases"]) == {"labeler", "users", "platform"}
        assert set(facts["pids"]) == {"supervisor", *PARTS}
        assert facts["pids"]["supervisor"] == up.process.pid
        assert [(a["email"], a["password"], a["role"]) for a in facts["accounts"]] == [
            (f"{role}@example.com", f"{role}123", role)
            for role in ("admin", "owner", "reviewer", "annotator", "viewer")
        ]
        answer = httpx.get(f"{facts['api']}/health/ready", trust_env=False)
        assert answer.status_code == 200, answer.text
        host, port = facts["gateway"].split(":")
        socket.create_connection((host, int(port)), timeout=5).close()
        for account in facts["accounts"]:
            with log_in(facts, account["role"]) as client:
                me = client.get("/auth/me").json()
                assert me["email"] == account["email"]
                assert me["organization"] == {"id": 1, "name": "Example organization"}
        for text in (facts["api"], facts["gateway"], facts["storage"], "owner@example.com / owner123", str(home)):
            assert text in up.output
        assert facts["databases"]["labeler"] not in up.output  # it holds a password
        assert up.stop() == 0
    assert not up.ready_file.exists()


def test_a_second_copy_of_the_services_starts_from_the_environment_of_the_first(home: Path, tmp_path: Path) -> None:
    with Up(home, files=tmp_path) as up:
        facts, file = up.ready(), home / "environment"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        shared = dict(variable.split("=", 1) for variable in shlex.split(file.read_text()))
        assert asyncio.run(is_superuser(shared.pop("ADMIN_DB_URL")))
        with Up(tmp_path / "second", files=tmp_path / "beside", **shared) as second, log_in(facts) as client:
            beside = second.ready()
            assert set(beside["pids"]) == {"supervisor", "gateway", "api"}
            answer = client.get(f"{beside['api']}/api/v1/datasets")  # with the token that the first gave out
            assert answer.status_code == 200, answer.text
            assert answer.json() == client.get("/datasets").json()


async def is_superuser(url: str) -> bool:
    connection = await asyncpg.connect(url)
    try:
        return bool(await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"))
    finally:
        await connection.close()


async def test_the_databases_have_the_roles_that_were_agreed(home: Path, tmp_path: Path) -> None:
    with Up(home, files=tmp_path) as up:
        urls = up.ready()["databases"]
        users = await asyncpg.connect(urls["users"])
        assert await users.fetchval("SELECT current_user") == "user_readonly"
        assert await users.fetchval("SELECT count(email) FROM users") == len(ACCOUNTS)
        await users.execute("SET default_transaction_read_only = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await users.execute("UPDATE users SET is_active = false")
        await users.close()
        platform = await asyncpg.connect(urls["platform"])
        assert await platform.fetchval("SELECT current_user") == "platform_readonly"
        assert await platform.fetchval("SELECT count(name) FROM organizations") == 1
        await platform.close()
        labeler = await asyncpg.connect(urls["labeler"])
        assert await labeler.fetchval("SELECT current_user") == "labeler"
        await labeler.close()
        elsewhere = urls["users"].rsplit("/", 1)[0] + "/labeler"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(elsewhere)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_and_leaves_nothing(number: signal.Signals, home: Path, tmp_path: Path) -> None:
    with Up(home, files=tmp_path) as up:
        facts = up.ready()
        assert up.stop(number) == 0
        up.assert_nothing_left()
        assert processes_in(home) == []
    ports = [facts["storage"].rsplit(":", 1)[1], facts["api"].rsplit(":", 1)[1]]
    assert not [path for path in Path("/tmp").glob("seaweedfs-*.sock") if any(port in path.name for port in ports)]
    assert "stopped" in up.output


def test_a_signal_while_it_starts_stops_it_too(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Up(home, files=tmp_path / "first") as up:
        while not (home / "postgres").exists():
            assert up.process.poll() is None, up.output
            time.sleep(0.005)
        assert up.stop(signal.SIGTERM) == 0
        assert processes_in(home) == []
    with Up(home, "--no-demo", files=tmp_path / "second") as up:
        assert datasets(up.ready()) == []


def test_two_copies_run_side_by_side(home: Path, tmp_path: Path) -> None:
    """The copy remembers the same ports as the original, and finds others."""
    shutil.copytree(home, tmp_path / "copy")
    with Up(home, files=tmp_path / "a") as one, Up(tmp_path / "copy", files=tmp_path / "b") as two:
        first, second = one.ready(), two.ready()
        assert first["storage"] != second["storage"]
        with log_in(first) as client:
            assert client.post("/datasets", json={"name": "only in the first"}).status_code == 201
        assert {dataset["name"] for dataset in datasets(first)} == {"Demo photographs", "only in the first"}
        assert {dataset["name"] for dataset in datasets(second)} == {"Demo photographs"}


def test_two_on_one_home_are_refused_and_the_first_goes_on(home: Path, tmp_path: Path) -> None:
    with Up(home, files=tmp_path / "a") as one:
        facts = one.ready()
        with Up(home, files=tmp_path / "b") as two:
            assert two.ended() == 1
            assert f"is in use by `labeler up` (pid {one.process.pid})" in two.output
        assert httpx.get(f"{facts['api']}/health/ready", trust_env=False).status_code == 200


@pytest.mark.parametrize("variable", ["API_PORT", "USER_GATEWAY_PORT"])
def test_a_taken_port_is_named(variable: str, home: Path, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        with Up(home, files=tmp_path, **{variable: port}) as up:
            assert up.ended() == 1
        (line,) = up.output.splitlines()
        assert f"port {port} is taken: set {variable} to another port" in line
        assert processes_in(home) == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"API_PORT": "http"}, "API_PORT: expected a port number"),
        ({"LABELER_DB_URL": "mysql://x/y"}, "LABELER_DB_URL: expected postgresql://"),
        ({"S3_ENDPOINT": "http://127.0.0.1:9000"}, "S3_ACCESS_KEY and S3_SECRET_KEY: missing"),
        ({"LABELER_POSTGRES": "docker"}, "LABELER_POSTGRES=docker is not known"),
    ],
)
def test_a_wrong_variable_is_named_and_nothing_is_left(
    variables: dict[str, str], expected: str, tmp_path: Path
) -> None:
    with Up(tmp_path / "home", files=tmp_path, **variables) as up:
        assert up.ended() == 1
    assert expected in up.output
    assert processes_in(tmp_path / "home") == []


def test_an_ephemeral_run_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "somebody-elses").mkdir()
    with Up(None, "--ephemeral", "--no-demo", files=tmp_path / "files", TMPDIR=str(tmp_path)) as up:
        facts = up.ready()
        assert len(list(tmp_path.glob("labeler-ephemeral-*"))) == 1
        assert datasets(facts) == []
        assert up.stop() == 0
    assert {path.name for path in tmp_path.iterdir()} == {"files", "somebody-elses"}


async def test_what_is_given_is_used_and_gets_no_demo_accounts(
    create_database: DatabaseFactory,
    users_db: UsersDatabase,
    object_store: SeaweedServer,
    tmp_path: Path,
) -> None:
    labeler, platform = await create_database(), await create_database()
    access = object_store.access
    given = {
        "LABELER_DB_URL": labeler,
        "USER_DB_URL": users_db.dsn,
        "PLATFORM_DB_URL": platform,
        "S3_ENDPOINT": access.endpoint,
        "S3_ACCESS_KEY": access.access_key,
        "S3_SECRET_KEY": access.secret_key,
    }
    admin = await asyncpg.connect(users_db.admin_dsn)
    before = await admin.fetchval("SELECT count(*) FROM users")
    home = tmp_path / "home"
    with Up(home, files=tmp_path, **given) as up:
        facts = up.ready()
        assert facts["accounts"] == []
        assert facts["storage"] == access.endpoint
        assert facts["databases"] == {"labeler": labeler, "users": users_db.dsn, "platform": platform}
        assert set(facts["pids"]) == {"supervisor", "gateway", "api"}
    assert not (home / "postgres").exists()
    assert await admin.fetchval("SELECT count(*) FROM users") == before
    await admin.close()


async def test_a_given_database_with_older_data_is_not_touched(
    create_database: DatabaseFactory, tmp_path: Path
) -> None:
    labeler = await create_database()
    connection = await asyncpg.connect(labeler)
    await connection.execute("CREATE TABLE datasets (id text)")
    with Up(tmp_path / "home", files=tmp_path, LABELER_DB_URL=labeler) as up:
        assert up.ended() == 1
    assert "run `labeler db upgrade`" in up.output
    assert await connection.fetchval("SELECT count(*) FROM pg_class WHERE relname LIKE 'annotation%'") == 0
    await connection.close()


def test_variables_of_other_servers_do_not_reach_the_embedded_ones(home: Path, tmp_path: Path) -> None:
    other = {
        "PGHOST": "db.example",
        "PGSSLMODE": "require",
        "DATABASE_URL": "postgres://x@db.example/x",
        "PORT": "1",
        "http_proxy": "http://127.0.0.1:9",
    }
    with Up(home, files=tmp_path, **other) as up:
        assert datasets(up.ready())


def test_help_names_every_option() -> None:
    answer = subprocess.run(
        [LABELER, "up", "--help"], capture_output=True, text=True, check=True, env=clean_environment(COLUMNS="120")
    )
    for option in ("--home", "--ephemeral", "--no-demo", "--ready-file"):
        assert option in answer.stdout
