"""The five demo accounts. They are made in an embedded User DB only, never in one that was given."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DemoAccount:
    """A demo account: `role` is its role in the demo project, `user_id` its id in the User DB."""

    user_id: int
    role: str
    full_name: str
    badge_color: str

    @property
    def email(self) -> str:
        """Its e-mail address."""
        return f"{self.role}@example.com"

    @property
    def password(self) -> str:
        """Its password: known to everybody, which is why it exists on a developer's machine only."""
        return f"{self.role}123"

    @property
    def avatar_name(self) -> str:
        """What its badge shows: the initials, another pair for each."""
        return "".join(word[0] for word in self.full_name.split())

    @property
    def system_role(self) -> str:
        """Its role in the whole system; the administrator acts as admin on every project."""
        return "admin" if self.role == "admin" else "standard_engineer"


ACCOUNTS = (
    DemoAccount(1, "admin", "Ada Admin", "red"),
    DemoAccount(2, "owner", "Olga Owner", "blue"),
    DemoAccount(3, "reviewer", "Rui Reviewer", "green"),
    DemoAccount(4, "annotator", "Nina Annotator", "orange"),
    DemoAccount(5, "viewer", "Vera Viewer", "purple"),
)
