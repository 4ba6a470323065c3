"""SearchUsers: what matches, in which order, page by page."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from proto.users.v1 import user_gateway_pb2 as pb
from tests.fixtures.gateway_calls import Calls, refused
from tests.fixtures.users import StartGateway, UsersDatabase


@pytest.fixture
async def crowd(users_db: UsersDatabase, start_gateway: StartGateway) -> AsyncIterator[Calls]:
    """A gateway with 300 more users (every tenth inactive) and some with telling names."""
    await users_db.execute(
        "INSERT INTO users (id, email, hashed_password, full_name, is_active) "
        "SELECT 1000 + n, 'crowd' || (n * 7 % 300) || '@example.com', 'hash', 'Person ' || n % 40, n % 10 <> 0 "
        "FROM generate_series(0, 299) AS n"
    )
    await users_db.execute(
        "INSERT INTO users (id, email, hashed_password, full_name) VALUES "
        r"(2001, 'under_score@example.com', '', '100% cotton'), (2002, 'underXscore@example.com', '', '100X cotton'), "
        r"(2003, 'back@example.com', '', 'a\b'), (2004, 'kim@example.com', '', '김민수'), "
        "(2005, 'null-name@example.com', '', NULL), (2006, 'umlaut@example.com', '', 'JÜRGEN')"
    )
    running = await start_gateway(users_db.dsn)
    async with Calls(running.address, running.token) as calls:
        yield calls


async def pages(calls: Calls, query: str, **fields: Any) -> list[pb.User]:
    users: list[pb.User] = []
    token = ""
    while True:
        page = await calls.search(query, page_token=token, **fields)
        users += page.users
        token = page.next_page_token
        if not token:
            return users


async def test_by_email_and_name_ordered_by_email(calls: Calls) -> None:
    page = await calls.search("EXAMPLE")
    assert [user.email for user in page.users] == sorted(
        f"{name}@example.com" for name in ("admin", "owner", "reviewer", "annotator", "viewer", "stranger")
    )
    assert page.total_size == 6
    assert not page.next_page_token
    assert [user.id for user in (await calls.search("wner ex")).users] == [2], "within the name"


async def test_the_basic_view_matches_names_only(calls: Calls) -> None:
    page = await calls.search("example.com", view=pb.USER_VIEW_BASIC)
    assert page.total_size == 0, "or the answer would tell who has which address"
    assert list(page.users) == [], "or the answer would tell who has which address"
    names = [user.full_name for user in (await calls.search("example", view=pb.USER_VIEW_BASIC)).users]
    assert names == sorted(names)
    assert len(names) == 6


@pytest.mark.parametrize(
    ("query", "emails"),
    [
        ("viewer@example.com", ["viewer"]),  # a whole address, as it is typed or pasted
        ("VIEWER@Exam", ["viewer"]),
        ("re", ["reviewer"]),  # anywhere before the @
        ("ewer@", []),  # the beginning of an address
        ("viewer@example.comx", []),
        (".com", []),
        ("example.com", []),
        ("le.c", []),
    ],
)
async def test_the_domain_is_not_searched(calls: Calls, query: str, emails: list[str]) -> None:
    page = await calls.search(query)
    assert [user.email for user in page.users] == [f"{name}@example.com" for name in emails]
    assert page.total_size == len(emails)


@pytest.mark.parametrize("query", ["@e", "@example.com", "a@example.com", " a @example", "@@", "a@"])
@pytest.mark.parametrize("view", [pb.USER_VIEW_BASIC, pb.USER_VIEW_FULL])
async def test_a_domain_alone_is_refused(calls: Calls, query: str, view: pb.UserView) -> None:
    refusal = await refused(calls.search(query, view=view))
    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.reason == "QUERY_TOO_SHORT"


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("r_s", [2001]),
        ("0%", [2001]),
        ("%%", []),
        ("__", []),
        ("a\\b", [2003]),
        ("\\\\", []),
        ("김민", [2004]),
        ("jürg", [2006]),
        ("  kim@  ", [2004]),
        ("null-name", [2005]),
        ("'; DROP TABLE users; --", []),
    ],
)
async def test_the_query_is_text(crowd: Calls, query: str, ids: list[int]) -> None:
    page = await crowd.search(query)
    assert [user.id for user in page.users] == ids
    assert page.total_size == len(ids)


async def test_inactive_and_excluded_users_are_left_out(crowd: Calls) -> None:
    everybody = await pages(crowd, "crowd", page_size=200)
    assert len(everybody) == 270
    assert all(user.is_active for user in everybody)
    excluded = [user.id for user in everybody[:100]]
    page = await crowd.search("crowd", exclude_ids=excluded, page_size=200)
    assert page.total_size == 170
    assert not {user.id for user in page.users} & set(excluded)


@pytest.mark.parametrize("view", [pb.USER_VIEW_BASIC, pb.USER_VIEW_FULL])
@pytest.mark.parametrize("size", [7, 135, 200])
async def test_the_pages_together_are_the_whole_without_doubles(crowd: Calls, size: int, view: pb.UserView) -> None:
    got = await pages(crowd, "person", page_size=size, view=view)
    ids = [user.id for user in got]
    assert len(ids) == len(set(ids)) == 270
    keys = [(user.email if view == pb.USER_VIEW_FULL else user.full_name, user.id) for user in got]
    assert keys == sorted(keys)


async def test_users_who_come_and_go_between_pages_disturb_nobody_else(users_db: UsersDatabase, crowd: Calls) -> None:
    steady = {user.id for user in await pages(crowd, "crowd", page_size=200)}
    first = await crowd.search("crowd", page_size=50)
    gone = first.users[-1].id  # the very user that the token points at
    await users_db.execute("DELETE FROM users WHERE id = $1", gone)
    await users_db.execute("INSERT INTO users (id, email, hashed_password) VALUES (3000, 'crowd00@example.com', '')")
    seen = [user.id for user in first.users]
    token = first.next_page_token
    while token:
        page = await crowd.search("crowd", page_size=50, page_token=token)
        seen += [user.id for user in page.users]
        token = page.next_page_token
    assert len(seen) == len(set(seen))
    assert steady <= set(seen)


async def test_skip_is_the_other_way_to_page(crowd: Calls) -> None:
    everybody = [user.id for user in await pages(crowd, "crowd", page_size=200)]
    page = await crowd.search("crowd", page_size=20, skip=30)
    assert [user.id for user in page.users] == everybody[30:50]
    beyond = await crowd.search("crowd", skip=1_000)
    assert list(beyond.users) == []
    assert beyond.total_size == 270
    assert beyond.next_page_token == ""
    after_skip = await crowd.search("crowd", page_size=20, page_token=page.next_page_token)
    assert [user.id for user in after_skip.users] == everybody[50:70]


async def test_page_sizes(crowd: Calls) -> None:
    assert len((await crowd.search("crowd")).users) == 50
    assert len((await crowd.search("crowd", page_size=2**31 - 1)).users) == 200
    refusal = await refused(crowd.search("crowd", page_size=-1))
    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.reason == "PAGE_SIZE_INVALID"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"query": "a"}, "QUERY_TOO_SHORT"),
        ({"query": ""}, "QUERY_TOO_SHORT"),
        ({"query": " a  "}, "QUERY_TOO_SHORT"),
        ({"query": "x" * 256}, "QUERY_TOO_LONG"),
        ({"query": "a\0b"}, "QUERY_TOO_LONG"),
        ({"query": "ab", "skip": -1}, "SKIP_INVALID"),
        ({"query": "ab", "skip": 1, "page_token": "x"}, "SKIP_WITH_PAGE_TOKEN"),
        ({"query": "ab", "exclude_ids": range(10_001)}, "TOO_MANY_IDS"),
    ],
)
async def test_refusals(calls: Calls, fields: dict[str, Any], reason: str) -> None:
    refusal = await refused(calls.call("SearchUsers", pb.SearchUsersRequest(**fields)))
    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.reason == reason


async def test_a_token_that_was_tampered_with_gives_nothing(crowd: Calls) -> None:
    token = (await crowd.search("crowd", page_size=5)).next_page_token
    flipped = [token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :] for place in (0, 9, -2)]
    forged = base64.urlsafe_b64encode(b'["x","crowd1@example.com",1]').decode()
    for bad in [*flipped, forged, token[:-5], token + "A", "...", "🙂", "x" * 10_000]:
        refusal = await refused(crowd.search("crowd", page_size=5, page_token=bad))
        assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT, bad
        assert refusal.reason == "PAGE_TOKEN_INVALID", bad
        assert "example.com" not in refusal.everything


async def test_a_token_belongs_to_its_search(crowd: Calls) -> None:
    token = (await crowd.search("crowd", page_size=5, exclude_ids=[1, 2])).next_page_token
    for fields in (
        {"query": "crowd1", "exclude_ids": [1, 2]},
        {"query": "crowd", "exclude_ids": [1]},
        {"query": "crowd", "exclude_ids": [1, 2], "view": pb.USER_VIEW_BASIC},
    ):
        refusal = await refused(crowd.search(**fields, page_token=token))
        assert refusal.reason == "PAGE_TOKEN_INVALID"
    again = await crowd.search("crowd", page_size=9, exclude_ids=[2, 1, 2], page_token=token)
    assert len(again.users) == 9, "the order of the excluded ids and the page size are not part of the search"


async def test_replicas_with_the_same_tokens_share_page_tokens(
    users_db: UsersDatabase, start_gateway: StartGateway, crowd: Calls
) -> None:
    token = (await crowd.search("crowd", page_size=5)).next_page_token
    other = await start_gateway(users_db.dsn)
    stranger = await start_gateway(users_db.dsn, USER_GATEWAY_PAGE_KEYS="a key of its own")
    async with Calls(other.address, other.token) as calls, Calls(stranger.address, stranger.token) as foreign:
        assert len((await calls.search("crowd", page_size=5, page_token=token)).users) == 5
        assert (await refused(foreign.search("crowd", page_token=token))).reason == "PAGE_TOKEN_INVALID"


async def test_side_by_side(crowd: Calls) -> None:
    answers = await asyncio.gather(*(crowd.search("crowd", skip=number, page_size=1) for number in range(40)))
    assert len({answer.users[0].id for answer in answers}) == 40
