"""The comparison of what a guide shows: what is no difference, and what is one."""

import pytest

from tests.guides.comparing import difference

SAID = "run 20261123-015212-move-18482\ncheck\ncopied 3 objects, 40.2 kB\nverify\nThe same. Digest 91c22d6c009a583e.\n"


@pytest.mark.parametrize(
    "shown",
    [
        SAID,
        "run 20270101-000000-move-1\ncheck\ncopied 1,600 objects, 1 byte\nverify\nThe same. Digest 0000000000000000.",
        "…\nverify\nThe same. …",
        "run 20261123-015212-move-18482\n…",
        "…\ncheck\n…\nverify\n…",
    ],
)
def test_numbers_times_and_what_is_left_out_are_no_difference(shown: str) -> None:
    assert difference(shown, SAID) is None


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ("…\nverify objects\n…", "not as shown: verify objects"),
        ("run 20261123-015212-move-18482\ncheck\n", "more came back than is shown"),
        ("…\nverify\n…\ncheck\n…", "not as shown: check"),
        (f"{SAID}finalize\n", "not as shown: finalize"),
        ("…\ncopied 3 files, 40.2 kB\n…", "not as shown: copied N files"),
    ],
)
def test_a_difference_is_told_by_the_first_line_that_is_not_there(shown: str, told: str) -> None:
    assert (difference(shown, SAID) or "").startswith(told)


@pytest.mark.parametrize(
    ("shown", "said"),
    [("keeping 21.4 MB", "keeping 21,412,096 bytes"), ("9.9 MiB are needed", "9.9 MB are needed")],
)
def test_a_size_is_shown_in_the_unit_that_is_printed(shown: str, said: str) -> None:
    assert difference(shown, said) is not None
    assert difference(shown, shown.replace("9.9", "12.3").replace("21.4", "1.7")) is None


def test_a_small_size_has_no_unit_of_its_own() -> None:
    assert difference("the target has 1.2 MB", "the target has 0 bytes") is None
    assert difference("56 bytes of the log kept", "1,234,567 bytes of the log kept") is None
    assert difference("1,234,567 bytes of the log kept", "56 bytes of the log kept") is None
    assert difference("9.9 MiB are needed", "56 bytes are needed") is not None
