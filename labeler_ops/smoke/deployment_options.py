"""What commands ask about a deployment: its address, and an account of it with a password that is never an argument."""

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import typer

from labeler_ops.command_result import FAILED, WRONG_USE, exit_with_error

if TYPE_CHECKING:
    from labeler_ops.smoke.deployment import SmokeAccount

PASSWORD = "LABELER_SMOKE_PASSWORD"  # noqa: S105 - a variable's name


def require_httpx(code: int = FAILED) -> None:
    """Exit with an advice where the client is missing, which the services themselves do without."""
    if find_spec("httpx") is None:
        exit_with_error("this needs httpx: pip install 'image-labeler[staging]'", code)


def account(email: str, variable: str = PASSWORD) -> "SmokeAccount":
    """Take the password from a variable, or ask for it; exits where nobody can be asked."""
    from labeler_ops.smoke.deployment import SmokeAccount

    password = os.environ.get(variable)
    if not password and not sys.stdin.isatty():
        exit_with_error(f"the password of {email}: set {variable}", WRONG_USE)
    return SmokeAccount(email, password or typer.prompt(f"Password of {email}", hide_input=True, err=True))


def address(url: str, option: str) -> str:
    """Take an address as people copy it; exits with what is wrong."""
    from labeler_ops.smoke.deployment import normal_url

    try:
        return normal_url(url)
    except ValueError as error:
        exit_with_error(f"{option}: {error}", WRONG_USE)
