"""The User DB as it may look: with a profiles table, with other types, with fewer columns."""

import grpc
import pytest

from proto.users.v1 import user_gateway_pb2 as pb
from tests.fixtures.users import StartGateway, UsersDatabase
from tests.user_gateway.calls import Calls, refused
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
        assert (owner.full_name, owner.badge_color) == ("Profile Owner", "red")
        assert not owner.HasField("company"), "cleared in the profile"
        assert owner.system_role == "standard_engineer", "a fact of the account"
        assert (without.full_name, without.company, without.badge_color) == (
            "Annotator Example",
            "Old company",
            "blue",
        )
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
        assert (owner.full_name, owner.system_role) == ("Profile Owner", "admin")
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
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "CREDENTIALS_UNREADABLE")
        assert (await calls.search("admin")).total_size == 1
        assert (await calls.search("admin", view=pb.USER_VIEW_BASIC)).total_size == 0


async def test_a_required_column_that_cannot_be_read_is_named(
    users_db: UsersDatabase, start_gateway: StartGateway
) -> None:
    await users_db.execute("REVOKE SELECT (email) ON users FROM user_readonly")
    with pytest.raises(CatalogError, match=r"users\.email"):
        await start_gateway(users_db.dsn)
