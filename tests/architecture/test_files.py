"""What every file keeps: its size, its name, and no words of its workshop."""

import re

import pytest

from tests.architecture.source import Module, modules

MAX_LINES = 500
EVASIONS = re.compile(r"(^|_)(utils?|common|base|manager|helpers?|misc)(_|$)")


def _id(module: Module) -> str:
    return module.where


@pytest.mark.parametrize("module", modules(), ids=_id)
def test_a_file_stays_readable(module: Module) -> None:
    lines = module.text.count("\n")
    assert lines < MAX_LINES, f"{module.where} has {lines} lines: split it by use case"


def test_names_say_what_is_inside() -> None:
    wrong = [module.where for module in modules() if any(EVASIONS.search(part) for part in module.name.split("."))]
    assert wrong == []


def test_public_code_says_what_it_is_for() -> None:
    packages = ("service_kit", "user_gateway", "labeler_api", "labeler_ops")
    written = [module for module in modules(*packages) if module.text.strip() and "versions/" not in module.where]
    without = [module.where for module in written if not module.text.lstrip().startswith(('"""', "#!"))]
    assert without == []
