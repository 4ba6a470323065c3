"""The rules of roles, without a server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler_api.members.policy import Role, effective_role, may_change

roles = st.sampled_from(Role)


def test_roles_include_the_lower_ones() -> None:
    assert sorted(Role) == [Role.VIEWER, Role.ANNOTATOR, Role.REVIEWER, Role.ADMIN, Role.OWNER]
    assert [role.text for role in Role] == ["viewer", "annotator", "reviewer", "admin", "owner"]
    assert all(Role.of(role.text) is role for role in Role)


@pytest.mark.parametrize(
    ("stored", "is_admin", "is_public", "expected"),
    [
        (None, False, False, None),
        (None, False, True, Role.VIEWER),
        (None, True, False, Role.ADMIN),
        (None, True, True, Role.ADMIN),
        ("viewer", True, False, Role.ADMIN),
        ("owner", True, False, Role.OWNER),
        ("annotator", False, True, Role.ANNOTATOR),
    ],
)
def test_the_highest_of_what_one_has_counts(
    stored: str | None, is_admin: bool, is_public: bool, expected: Role | None
) -> None:
    assert effective_role(stored, is_admin=is_admin, is_public=is_public) is expected


@given(actor=roles, present=st.none() | roles, wanted=st.none() | roles)
def test_nobody_touches_a_role_at_or_above_their_own(actor: Role, present: Role | None, wanted: Role | None) -> None:
    allowed = may_change(actor, present=present, wanted=wanted)
    if Role.OWNER in {present, wanted} or actor < Role.ADMIN:
        assert not allowed
    elif actor is Role.OWNER:
        assert allowed
    else:
        assert allowed == all(role is None or role < Role.ADMIN for role in (present, wanted))
