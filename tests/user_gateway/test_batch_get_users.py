"""BatchGetUsers: order, duplicates, unknown ids, limits."""

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proto.users.v1 import user_gateway_pb2 as pb
from tests.fixtures.gateway_calls import Calls, refused

EXISTING = range(1, 7)


async def test_in_the_order_of_the_request_with_the_missing_ones_named(calls: Calls) -> None:
    response = await calls.batch([4, 99, 2, 1, 98], pb.USER_VIEW_FULL)
    assert [user.id for user in response.users] == [4, 2, 1]
    assert list(response.missing_ids) == [99, 98]
    assert response.users[0].email == "annotator@example.com"


async def test_ids_that_no_column_holds_are_missing(calls: Calls) -> None:
    ids = [0, -5, 2**40, 2**63 - 1, -(2**63)]
    response = await calls.batch([*ids, 1])
    assert list(response.missing_ids) == ids
    assert [user.id for user in response.users] == [1]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(st.integers(-3, 12), min_size=1, max_size=40))
async def test_every_id_is_answered_once_at_its_first_place(calls: Calls, ids: list[int]) -> None:
    response = await calls.batch(ids)
    unique = list(dict.fromkeys(ids))
    assert [user.id for user in response.users] == [user_id for user_id in unique if user_id in EXISTING]
    assert list(response.missing_ids) == [user_id for user_id in unique if user_id not in EXISTING]


async def test_500_ids_are_answered(calls: Calls) -> None:
    response = await calls.batch(list(range(1, 501)))
    assert len(response.users) == 6
    assert len(response.missing_ids) == 494


@pytest.mark.parametrize("ids", [list(range(1, 502)), [1] * 501])
async def test_501_ids_are_refused(calls: Calls, ids: list[int]) -> None:
    refusal = await refused(calls.batch(ids))
    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.reason == "TOO_MANY_IDS"
    assert refusal.metadata == {"field": "ids", "limit": "500", "given": "501"}


async def test_no_ids_are_refused(calls: Calls) -> None:
    refusal = await refused(calls.batch([]))
    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.reason == "IDS_EMPTY"
