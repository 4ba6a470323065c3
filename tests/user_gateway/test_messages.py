"""Rows as messages: times are carried to the microsecond, in every year that protobuf has."""

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from user_gateway.users import timestamp


@given(
    st.datetimes(
        timezones=st.one_of(st.none(), st.timezones()), min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 30)
    )
)
def test_a_time_is_what_protobuf_makes_of_it(moment: datetime) -> None:
    expected = Timestamp()
    expected.FromDatetime((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC))
    assert timestamp(moment) == expected


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(9999, 12, 30, 23, 59, 59, 999_999, UTC),
        datetime(1, 1, 2, 0, 0, 0, 1, UTC),
        datetime(2026, 11, 30, 12, 0, 0, 500_000),  # as a column without a zone gives it
    ],
)
def test_the_edges(moment: datetime) -> None:
    expected = Timestamp()
    expected.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    assert timestamp(moment) == expected
