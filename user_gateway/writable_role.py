"""What the gateway says of a database role that could write."""

from collections.abc import Sequence

from service_kit.role_privileges import SHOWN, RoleCanWrite


class UserRoleCanWrite(RoleCanWrite):
    """The role could write. The text says what to take from it."""

    def __init__(self, privileges: Sequence[str]) -> None:
        more = f" and {len(privileges) - SHOWN} more" if len(privileges) > SHOWN else ""
        super().__init__(
            f"the role of USER_DB_URL could write to the User DB: it has {'; '.join(privileges[:SHOWN])}{more}. "
            "Use a role with SELECT only (`labeler db roles users` prints the grants), or set "
            "USER_DB_ALLOW_WRITABLE=1 in development."
        )
        self.privileges = list(privileges)
