"""One rule for names: what cannot be seen is refused where a name comes in, and escaped where others keep it."""

import re

import pytest

from labeler_api.images.paths import Refused, image_path
from labeler_api.names import NAME, shown
from tests.fixtures.api import Api

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
    with pytest.raises(Refused, match="cannot be seen"):
        image_path(f"x{HIDDEN[kind]}x.jpg", "ds_1")


async def test_datasets_and_classes_are_refused_by_the_same_rule(api: Api) -> None:
    made = await api.dataset(tasks=["detection"])
    owner = await api.login("owner")
    for name in HIDDEN.values():
        answer = await owner.post("/api/v1/datasets", json={"name": name})
        assert answer.status_code == 422, name
        path = f"/api/v1/projects/{made.project_id}/classes?task_type=detection"
        answer = await owner.post(path, json={"name": name, "color": "#ff0000"})
        assert answer.status_code == 422, name
        assert (await owner.patch(f"/api/v1/projects/{made.project_id}", json={"name": name})).status_code == 422
