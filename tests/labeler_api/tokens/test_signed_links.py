"""Signed links: one object version, one user, one window."""

import time
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import pytest
from itsdangerous import Signer

from labeler_api.errors import NotFound
from labeler_api.tokens import signed_links
from labeler_api.tokens.signed_links import WINDOW_SECONDS, Kind, LinkQuery, Links

LINKS = Links("https://api.example", ["k" * 40])


def parts(url: str) -> tuple[str, LinkQuery]:
    split = urlsplit(url)
    values = {name: value[0] for name, value in parse_qs(split.query).items()}
    return unquote(split.path).split("/", 3)[3], msgspec.convert(values, LinkQuery, strict=False)


@pytest.mark.parametrize("image_id", ["a", "train/good/001", "a b?c%20d#e", "사진/고양이 1"])
def test_a_link_is_accepted_as_it_was_made(image_id: str) -> None:
    url = LINKS.image("images", "ds_1", image_id, "abc", 7)
    path, query = parts(url)
    assert url.startswith("https://api.example/media/images/ds_1/")
    assert path == f"ds_1/{image_id}"
    LINKS.check("images", path, query)


def test_the_same_object_keeps_its_url_within_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    start = 100 * WINDOW_SECONDS
    urls = set()
    for moment in (start, start + 1, start + WINDOW_SECONDS - 1):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        url = LINKS.image("images", "ds", "a", "v", 1)
        urls.add(url)
        assert parts(url)[1].e - moment >= WINDOW_SECONDS
    assert len(urls) == 1
    monkeypatch.setattr(time, "time", lambda: start + WINDOW_SECONDS)
    assert LINKS.image("images", "ds", "a", "v", 1) not in urls


@pytest.mark.parametrize(
    "change",
    [{"v": "other"}, {"u": 8}, {"e": 4_000_000_000}, {"s": "x" * 43}, {"s": ""}, {"s": "x" * 100_000}, {"s": "\udc80"}],
)
def test_a_changed_link_is_refused(change: dict[str, Any]) -> None:
    path, query = parts(LINKS.image("images", "ds", "a", "v", 7))
    with pytest.raises(NotFound):
        LINKS.check("images", path, msgspec.structs.replace(query, **change))


def test_a_link_is_good_for_its_kind_and_path_only() -> None:
    path, query = parts(LINKS.image("thumbnails", "ds", "a", "v", 7))
    LINKS.check("thumbnails", path, query)
    with pytest.raises(NotFound):
        LINKS.check("images", path, query)
    with pytest.raises(NotFound):
        LINKS.check("thumbnails", path + "b", query)


def test_an_expired_link_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    path, query = parts(LINKS.image("images", "ds", "a", "v", 7))
    monkeypatch.setattr(time, "time", lambda: query.e + 1)
    with pytest.raises(NotFound):
        LINKS.check("images", path, query)


def test_keys_rotate() -> None:
    old, new = "o" * 40, "n" * 40
    path, query = parts(Links("https://x", [old]).image("images", "ds", "a", "v", 7))
    rotated = Links("https://x", [new, old])
    rotated.check("images", path, query)
    path, query = parts(rotated.image("images", "ds", "a", "v", 7))
    Links("https://x", [new]).check("images", path, query)
    with pytest.raises(NotFound):
        Links("https://x", [old]).check("images", path, query)


def test_export_links_live_for_seven_days() -> None:
    _, query = parts(LINKS.export(5, "v", 7))
    assert 7 * 86400 <= query.e - time.time() <= 7 * 86400 + WINDOW_SECONDS


def test_a_row_without_a_hash_has_a_version_too() -> None:
    from datetime import UTC, datetime

    assert signed_links.object_version({"content_sha256": "ab" * 32}) == "ab" * 8
    assert (
        signed_links.object_version({"content_sha256": None, "last_modified": datetime(2026, 1, 1, tzinfo=UTC)})
        == "t1767225600"
    )


@pytest.mark.parametrize("keys", [["k" * 40], ["n" * 40, "k" * 40]])
def test_a_signature_is_the_one_that_the_library_makes(keys: list[str]) -> None:
    """Browsers hold links of the API of before."""
    path, query = parts(Links("https://x", keys).image("images", "ds", "사진", "v", 7))
    signer = Signer(list(reversed(keys)), salt="media-links", key_derivation="hmac", digest_method=sha256)
    payload = "\n".join(("images", path, "v", "7", str(query.e))).encode()
    assert query.s == signer.get_signature(payload).decode()


def test_a_good_link_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It expires all the same; and who changes a letter of it is told nothing by what is remembered."""
    links, now = Links("https://api.example", ["k" * 40]), time.time()
    path, query = parts(links.image("thumbnails", "ds", "a", "v", 7))
    verified: list[str] = []
    original = Signer.verify_signature

    def counted(signer: Signer, value: bytes, signature: str) -> bool:
        verified.append(signature)
        return original(signer, value, signature)

    monkeypatch.setattr(Signer, "verify_signature", counted)
    for _ in range(3):
        links.check("thumbnails", path, query)
    assert len(verified) == 1
    signature = ("B" if query.s.startswith("A") else "A") + query.s[1:]
    others: list[tuple[Kind, str, LinkQuery]] = [
        ("images", path, query),
        ("thumbnails", path + "b", query),
        ("thumbnails", path, msgspec.structs.replace(query, u=8)),
        ("thumbnails", path, msgspec.structs.replace(query, s=signature)),
    ]
    for kind, other, changed in others:
        with pytest.raises(NotFound):
            links.check(kind, other, changed)
    monkeypatch.setattr(time, "time", lambda: now + 2 * WINDOW_SECONDS + 1)
    with pytest.raises(NotFound):
        links.check("thumbnails", path, query)


def test_good_links_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signed_links, "_REMEMBERED", 3)
    links = Links("https://api.example", ["k" * 40])
    for number in range(5):
        links.check("images", *parts(links.image("images", "ds", str(number), "v", 7)))
        with pytest.raises(NotFound):
            links.check("images", "ds/none", parts(links.image("images", "ds", str(number), "v", 7))[1])
    assert [path for _, path, _ in links._good] == ["ds/2", "ds/3", "ds/4"]
