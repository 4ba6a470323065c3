"""What is known of users, and for how long it is believed."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import random
from time import monotonic
from typing import Any

import msgspec

from labeler_api.text.names import shown
from proto.users.v1 import user_gateway_pb2 as pb

_UNKNOWN_SECONDS = 5.0  # an account that was just made is seen soon; one that never was costs one call in five seconds
_CAPACITY = 10_000  # about 10 MB, and more people than any project has
_JITTER = 0.1  # entries learned together do not all run out together


class UserProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A user as the gateway shows it to this service."""

    id: int
    email: str
    full_name: str | None = None
    company: str | None = None
    division: str | None = None
    department: str | None = None
    organization_id: int | None = None
    system_role: str | None = None
    is_active: bool
    avatar_name: str | None = None
    badge_color: str | None = None
    created_at: datetime
    updated_at: datetime | None = None

    @property
    def is_admin(self) -> bool:
        """Whether this is an admin of the whole platform."""
        return self.system_role == "admin"


class CachedProfile(msgspec.Struct, frozen=True):
    """What was learned by a question asked at `asked_at`; `profile` is None for a user that does not exist."""

    profile: UserProfile | None
    asked_at: float
    expires_at: float


class ProfileCache:
    """The last answer about each user: fresh for `seconds`, remembered beyond that for when nobody can be asked.

    Ages count from the moment of the question, never of the answer, and jitter only shortens them: nobody is believed
    to be active for longer than `seconds`.
    """

    def __init__(self, seconds: float, *, capacity: int = _CAPACITY, clock: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._capacity = capacity
        self.clock = clock
        self._seen: OrderedDict[int, CachedProfile] = OrderedDict()

    def fresh(self, user_id: int) -> CachedProfile | None:
        """Return what may still be believed."""
        seen = self.last(user_id)
        return seen if seen is not None and self.clock() < seen.expires_at else None

    def last(self, user_id: int) -> CachedProfile | None:
        """Return the last answer, however old."""
        seen = self._seen.get(user_id)
        if seen is not None:
            self._seen.move_to_end(user_id)
        return seen

    def put(self, user_id: int, profile: UserProfile | None, asked_at: float) -> None:
        """Remember an answer, unless a later question has been answered before it."""
        known = self._seen.get(user_id)
        if known is not None and known.asked_at > asked_at:
            return
        believed = self._seconds if profile is not None else min(_UNKNOWN_SECONDS, self._seconds)
        believed *= 1 - _JITTER * random()  # noqa: S311 - spreads load, hides nothing
        self._seen[user_id] = CachedProfile(profile, asked_at, asked_at + believed)
        self._seen.move_to_end(user_id)
        while len(self._seen) > self._capacity:
            self._seen.popitem(last=False)


_NAMES = ("full_name", "company", "division", "department")
_OPTIONAL = (
    "organization_id",
    "system_role",
    "avatar_name",
    "badge_color",
)


def to_profile(user: pb.User) -> UserProfile:
    """Read the message of the FULL view. The User DB takes any characters; what cannot be seen is escaped here."""
    optional: Mapping[str, Any] = {name: getattr(user, name) if user.HasField(name) else None for name in _OPTIONAL}
    names: Mapping[str, Any] = {name: shown(getattr(user, name)) if user.HasField(name) else None for name in _NAMES}
    return UserProfile(
        id=user.id,
        email=shown(user.email),
        is_active=user.is_active,
        created_at=user.created_at.ToDatetime(tzinfo=UTC),
        updated_at=user.updated_at.ToDatetime(tzinfo=UTC) if user.HasField("updated_at") else None,
        **names,
        **optional,
    )
