"""The User DB as it may look: with a profiles table, with other types, with fewer columns."""

import grpc
import pytest
import structlog

from proto.users.v1 import user_gateway_pb2 as pb
from tests.fixtures.gateway_calls import Calls, refused
from tests.fixtures.users import StartGateway, UsersDatabase
from user_gateway.catalog import CatalogError

FULL = pb.USER_VIEW_FULL
PROFILES = """
CREATE TABLE profiles (id serial PRIMARY KEY, user_id int NOT NULL {unique}, full_name text, company varchar(10),
                       badge_color text, system_role text, secret text);
INSERT INTO profiles (user_id, full_name, company, badge_color, system_role, secret)
VALUES (2, 'Profile Owner', NULL, 'red', 'admin', 's'), (3, 'Profile Reviewer', 'Dice', NULL, 'admin', 's');
GRANT SELECT (user_id, full_name, company, badge_color, system_role) ON profiles TO user_readonly;
UPDATE users SET company = 'Old company';
"""


@pytest.mark.parametrize("unique", ["UNIQUE", ""])
async def test_a_profile_wins_over_the_account(
    users_db: UsersDatabase, start_gateway: StartGateway, unique: str
) -> None:
    await users_db.execute(PROFILES.format(unique=unique))
    if not unique:
        await users_db.execute("INSERT INTO profiles (user_id, full_name) VALUES (2, 'Profile Owner, the second')")
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        owner, without = await calls.get(id=2, view=FULL), await calls.get(id=4, view=FULL)
        assert owner.full_name == "Profile Owner"
        assert owner.badge_color == "red"
        assert not owner.HasField("company"), "cleared in the profile"
        assert owner.system_role == "standard_engineer", "a fact of the account"
        assert without.full_name == "Annotator Example"
        assert without.company == "Old company"
        assert without.badge_color == "blue"
        assert not (await calls.get(id=3)).HasField("badge_color")
        assert [user.id for user in (await calls.search("profile owner")).users] == [2]
        assert [user.id for user in (await calls.batch([3, 2, 4], FULL)).users] == [3, 2, 4]
        found = await calls.verify("owner@example.com", "owner123")
        assert found is not None
        assert found.full_name == "Profile Owner"
        info = await calls.info()
        assert info.profile_source == "users+profiles"
        assert "profiles.full_name" in info.columns
        assert "profiles.secret" not in info.columns


async def test_columns_that_only_profiles_has(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    await users_db.execute(PROFILES.format(unique="UNIQUE"))
    await users_db.execute("ALTER TABLE users DROP COLUMN full_name, DROP COLUMN system_role, DROP COLUMN badge_color")
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        owner, without = await calls.get(id=2, view=FULL), await calls.get(id=4, view=FULL)
        assert owner.full_name == "Profile Owner"
        assert owner.system_role == "admin"
        assert not without.HasField("full_name")
        assert (await calls.search("profile")).total_size == 2


async def test_a_profiles_table_that_may_not_be_read_is_left_alone(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    await users_db.execute("CREATE TABLE profiles (user_id int PRIMARY KEY, full_name text)")
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        assert (await calls.info()).profile_source == "users"
        assert (await calls.get(id=1)).full_name == "Admin Example"


async def test_users_alone_with_the_role_as_text(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    await users_db.execute("ALTER TABLE users ALTER COLUMN system_role DROP DEFAULT")
    await users_db.execute(
        "ALTER TABLE users ALTER COLUMN system_role TYPE varchar(11) USING left(system_role::text, 11)"
    )
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        assert (await calls.get(id=1, view=FULL)).system_role == "admin"
        assert (await calls.info()).profile_source == "users"


async def test_an_enum_label_that_is_added_later(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        await calls.get(id=1, view=FULL)
        await users_db.execute("ALTER TYPE userrole ADD VALUE 'chief_annotation_officer'")
        await users_db.execute("UPDATE users SET system_role = 'chief_annotation_officer' WHERE id = 1")
        assert (await calls.get(id=1, view=FULL)).system_role == "chief_annotation_officer"


async def test_times_with_and_without_a_zone(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    await users_db.execute(
        "ALTER TABLE users ALTER COLUMN updated_at DROP DEFAULT, "
        "ALTER COLUMN updated_at TYPE timestamptz USING updated_at AT TIME ZONE 'UTC'"
    )
    await users_db.execute(
        "UPDATE users SET created_at = '2025-03-01 12:00:00.123456', updated_at = '2025-03-01 21:00:00.123456+09'"
    )
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        user = await calls.get(id=1, view=FULL)
        assert user.created_at.ToJsonString() == user.updated_at.ToJsonString() == "2025-03-01T12:00:00.123456Z"


async def test_optional_columns_that_are_missing(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    await users_db.execute(
        "ALTER TABLE users DROP COLUMN company, DROP COLUMN division, DROP COLUMN organization_id, "
        "DROP COLUMN full_name, DROP COLUMN avatar_name, DROP COLUMN created_at, DROP COLUMN updated_at, "
        "DROP COLUMN hashed_password"
    )
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        user = await calls.get(id=1, view=FULL)
        assert user.email == "admin@example.com"
        assert not user.HasField("created_at")
        refusal = await refused(calls.verify("admin@example.com", "admin123"))
        assert refusal.code == grpc.StatusCode.UNAVAILABLE
        assert refusal.reason == "CREDENTIALS_UNREADABLE"
        assert (await calls.search("admin")).total_size == 1
        assert (await calls.search("admin", view=pb.USER_VIEW_BASIC)).total_size == 0


async def test_a_required_column_that_cannot_be_read_is_named(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    await users_db.execute("REVOKE SELECT (email) ON users FROM user_readonly")
    with pytest.raises(CatalogError, match=r"users\.email"):
        await start_gateway(users_db.dsn)


UNFIT = {
    "organization_id": ("uuid USING gen_random_uuid()", "users.organization_id is uuid, expected smallint"),
    "created_at": ("text USING created_at::text", "users.created_at is text, expected timestamp"),
    "updated_at": ("numeric USING 7", "users.updated_at is numeric, expected timestamp"),
}


@pytest.mark.parametrize("column", UNFIT)
async def test_a_column_of_another_type_is_named_and_not_set(
    users_db: UsersDatabase, start_gateway: StartGateway, column: str
) -> None:
    kind, said = UNFIT[column]
    await users_db.execute(f"ALTER TABLE users ALTER COLUMN {column} DROP DEFAULT")
    await users_db.execute(f"ALTER TABLE users ALTER COLUMN {column} DROP NOT NULL")
    await users_db.execute(f"ALTER TABLE users ALTER COLUMN {column} TYPE {kind}")
    with structlog.testing.capture_logs() as lines:
        running = await start_gateway(users_db.dsn)
    named = [text for line in lines if "types do not fit" in line["event"] for text in line["columns"]]
    assert [text.startswith(said) for text in named] == [True]
    async with Calls(running.address, running.token) as calls:
        user = await calls.get(id=1, view=FULL)
        assert user.email == "admin@example.com"
        assert not user.HasField(column)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "ALTER TABLE users ALTER COLUMN id DROP IDENTITY; "
            "ALTER TABLE users ALTER COLUMN id TYPE uuid USING gen_random_uuid()",
            "users.id is uuid, expected smallint, integer or bigint",
        ),
        (
            "ALTER TABLE users ALTER COLUMN is_active DROP DEFAULT; "
            "ALTER TABLE users ALTER COLUMN is_active TYPE text USING 'yes'",
            "users.is_active is text, expected boolean",
        ),
    ],
)
async def test_a_required_column_of_another_type_is_no_start(
    users_db: UsersDatabase, start_gateway: StartGateway, change: str, said: str
) -> None:
    await users_db.execute(change)
    with pytest.raises(CatalogError, match=said):
        await start_gateway(users_db.dsn)


async def test_other_types_that_can_be_read(users_db: UsersDatabase, start_gateway: StartGateway) -> None:
    await users_db.execute("CREATE DOMAIN number_of_organization AS bigint CHECK (VALUE > 0)")
    for change in (
        "ALTER is_active DROP DEFAULT, ALTER is_active TYPE smallint USING is_active::int",
        "ALTER created_at DROP DEFAULT, ALTER created_at TYPE date USING '2025-03-01'",
        "ALTER organization_id TYPE number_of_organization",
        "ALTER id TYPE bigint",
    ):
        await users_db.execute(f"ALTER TABLE users {change}")
    await users_db.execute("UPDATE users SET is_active = 0 WHERE id = 5")
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        user = await calls.get(id=1, view=FULL)
        assert user.is_active is True
        assert user.organization_id == 1
        assert user.created_at.ToJsonString() == "2025-03-01T00:00:00Z"
        assert (await calls.get(id=5)).is_active is False
        assert (await calls.search("example")).total_size == 5


@pytest.mark.parametrize("moment", ["0044-03-15 BC", "12026-01-01", "infinity", "-infinity"])
@pytest.mark.parametrize("zone", ["timestamp", "timestamptz"])
async def test_a_time_that_nobody_can_say_fails_no_batch(
    users_db: UsersDatabase, start_gateway: StartGateway, moment: str, zone: str
) -> None:
    await users_db.execute(
        f"ALTER TABLE users ALTER COLUMN updated_at DROP DEFAULT, ALTER COLUMN updated_at TYPE {zone}"
    )
    await users_db.execute(f"UPDATE users SET created_at = '{moment}', updated_at = '{moment}' WHERE id = 2")
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        users = (await calls.batch([1, 2], FULL)).users
    assert [(user.HasField("created_at"), user.HasField("updated_at")) for user in users] == [
        (True, True),
        (False, False),
    ]


async def test_profiles_with_the_user_as_text_are_left_alone(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    await users_db.execute("CREATE TABLE profiles (user_id text, full_name text)")
    await users_db.execute("GRANT SELECT ON profiles TO user_readonly")
    with structlog.testing.capture_logs() as lines:
        running = await start_gateway(users_db.dsn)
    named = [text for line in lines if "types do not fit" in line["event"] for text in line["columns"]]
    assert named == ["profiles.user_id is text, expected smallint, integer or bigint"]
    async with Calls(running.address, running.token) as calls:
        assert (await calls.get(id=1)).full_name == "Admin Example"
