"""One rule for names: what cannot be seen is refused where a name comes in, and escaped where others keep it."""

import re
from urllib.parse import unquote

import pytest

from labeler_api.errors import FileRejected
from labeler_api.images.paths import image_path
from labeler_api.text.names import NAME, is_unseen, shown
from labeler_api.versions.files.naming import content_disposition, download_name
from tests.fixtures.api import Api
from tests.fixtures.users import OpenDirectory, StartGateway, UsersDatabase

REAL = ["차량 손상", "  x", "صورة ۱", "می‌خواهم", "👩‍👩‍👧 family", "क्‍ष", "é", "a b", "日本語　テスト"]
HIDDEN = {
    "right-to-left override": "photo_\u202egpj.exe",
    "zero width space": "a\u200bb",
    "byte order mark": "\ufeffa",
    "soft hyphen": "a\u00adb",
    "isolate": "a\u2067b",
    "line separator": "a\u2028b",
    "a line": "a\nb",
    "a line at the end": "a\n",
    "next line": "a\u0085b",
}


@pytest.mark.parametrize("name", REAL)
def test_real_names_are_taken(name: str) -> None:
    assert re.search(NAME, name)
    assert shown(name) == name
    image_path(f"{name}/{name}.jpg", "ds_1")


@pytest.mark.parametrize("kind", HIDDEN)
def test_what_cannot_be_seen_is_refused(kind: str) -> None:
    assert not re.search(NAME, HIDDEN[kind])
    assert "\\u00" in shown(HIDDEN[kind]) or "\\u20" in shown(HIDDEN[kind]) or "\\ufeff" in shown(HIDDEN[kind])
    with pytest.raises(FileRejected, match="cannot be seen"):
        image_path(f"x{HIDDEN[kind]}x.jpg", "ds_1")


async def test_datasets_and_classes_are_refused_by_the_same_rule(api: Api) -> None:
    dataset = await api.dataset(tasks=["detection"])
    owner = await api.login("owner")
    for name in HIDDEN.values():
        answer = await owner.post("/api/v1/datasets", json={"name": name})
        assert answer.status_code == 422, name
        path = f"/api/v1/projects/{dataset.project_id}/classes?task_type=detection"
        answer = await owner.post(path, json={"name": name, "color": "#ff0000"})
        assert answer.status_code == 422, name
        assert (await owner.patch(f"/api/v1/projects/{dataset.project_id}", json={"name": name})).status_code == 422


async def test_people_of_the_user_db_are_shown_escaped(
    users_db: UsersDatabase, start_gateway: StartGateway, open_directory: OpenDirectory
) -> None:
    """Whatever asks for them: one by one, many at once, by address, or in a search."""
    hidden, seen = "Eve\u202e\u200b", "Eve\\u202e\\u200b"
    await users_db.execute("UPDATE users SET full_name = $1, email = $2 WHERE id = 6", hidden, "eve\u2067@example.com")
    running = await start_gateway(users_db.dsn)
    one = await open_directory(running.address).find(6)
    many = await open_directory(running.address).get_many([6])
    by_email = await open_directory(running.address).find_by_email("eve\u2067@example.com")
    (found,), _ = await open_directory(running.address).search("Eve")
    for profile in (one, many[6], by_email, found):
        assert profile is not None
        assert profile.full_name == seen
        assert profile.email == "eve\\u2067@example.com"


@pytest.mark.parametrize("kind", HIDDEN)
def test_names_of_downloads(kind: str) -> None:
    """A project may be called so from before."""
    for name in (HIDDEN[kind], download_name(HIDDEN[kind], "detection", "v1.0", "coco", ".json")):
        header = content_disposition(name)
        assert header.isascii()
        assert not any(map(is_unseen, unquote(header)))
    assert not any(map(is_unseen, download_name(HIDDEN[kind], "detection", "v1.0", "coco", ".json")))


@pytest.mark.parametrize("name", REAL)
def test_real_names_stay_in_downloads(name: str) -> None:
    saved = download_name(name, "detection", "v1.0", "coco", ".json")
    assert "_".join(name.split()) in saved
    assert saved in unquote(content_disposition(saved))
