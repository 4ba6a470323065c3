"""The roles of a project, their order, and the roles that irreversible actions need.

Every other use case names the role that it needs where it asks for access (`members.authorization.service.authorize`);
docs/access.md is the table of all of them.
"""

from enum import Enum, IntEnum, auto
from typing import Literal

RoleName = Literal["owner", "admin", "reviewer", "annotator", "viewer"]


class Role(IntEnum):
    """A role includes every lower one. The values are an order and nothing else."""

    VIEWER = 1
    ANNOTATOR = 2
    REVIEWER = 3
    ADMIN = 4
    OWNER = 5

    @property
    def text(self) -> RoleName:
        """The word in the database and on the wire."""
        return _TEXTS[self]

    @staticmethod
    def of(text: str) -> "Role":
        """Read the word."""
        return _ROLES[text]


# Every call on a project asks.
_TEXTS: dict[Role, RoleName] = {
    Role.VIEWER: "viewer",
    Role.ANNOTATOR: "annotator",
    Role.REVIEWER: "reviewer",
    Role.ADMIN: "admin",
    Role.OWNER: "owner",
}
_ROLES: dict[str, Role] = {text: role for role, text in _TEXTS.items()}


MAY_DELETE_DATASET = Role.OWNER
MAY_DELETE_PROJECT = Role.OWNER
MAY_TRANSFER_OWNERSHIP = Role.OWNER


class ProjectLock(Enum):
    """How strongly to lock a project. Take the strongest lock that a transaction needs first.

    Raising it later can deadlock: the transaction then waits behind others that wait for what it already holds.
    """

    NONE = auto()  # for reading
    ROLE = auto()  # blocks a change of the caller's role, and EXCLUSIVE
    CHANGE = auto()  # blocks changes of the project and of its images, too
    EXCLUSIVE = auto()  # blocks every writer of the project, of annotations too


def effective_role(stored: str | None, *, is_admin: bool, is_public: bool) -> Role | None:
    """Combine the stored role with what a system admin and a public dataset give; None for a stranger."""
    role = Role.of(stored) if stored else None
    if is_admin and (role is None or role < Role.ADMIN):
        role = Role.ADMIN
    return Role.VIEWER if role is None and is_public else role


def may_change(actor: Role, *, present: Role | None, wanted: Role | None) -> bool:
    """Whether `actor` may turn one role into another: nobody touches or grants a role at or above their own.

    `present` None means no member yet, `wanted` None removal. Ownership itself moves only by a transfer.
    """
    if Role.OWNER in {present, wanted}:
        return False
    if actor is Role.OWNER:
        return True
    return actor >= Role.ADMIN and all(role is None or role < actor for role in (present, wanted))


def changeable(actor: Role, wanted: Role | None) -> list[RoleName]:
    """Return the roles that `actor` may turn into `wanted` (None: may take away)."""
    return [role.text for role in Role if may_change(actor, present=role, wanted=wanted)]


def grantable(actor: Role | None) -> list[RoleName]:
    """Return the roles that `actor` may make somebody a member with; none if they have no role."""
    return [role.text for role in Role if actor is not None and may_change(actor, present=None, wanted=role)]
