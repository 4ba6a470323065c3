"""The demo's people can be told apart on the screen, however they were made."""

import re
from pathlib import Path

from labeler_ops.stack import accounts

SQL = (Path(accounts.__file__).parent / "sql" / "users_demo.sql").read_text()


def test_each_has_initials_and_a_colour_of_its_own() -> None:
    people = accounts.ACCOUNTS
    assert len({one.avatar_name[0].lower() for one in people}) == len(people)  # a badge may have room for one letter
    assert len({one.badge_color for one in people}) == len(people)


def test_the_accounts_for_compose_are_the_same() -> None:
    found = re.findall(r"\((\d), '(.+?)', '\$2b.+?',\s+'(.+?)', .*?, '(\w+)', '(\w+)', '(\w+)'\)", SQL)
    assert found == [
        (str(one.user_id), one.email, one.full_name, one.system_role, one.avatar_name, one.badge_color)
        for one in accounts.ACCOUNTS
    ]
