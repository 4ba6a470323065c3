import json
import stat
from pathlib import Path

import pytest

from labeler_ops.errors import StackError
from labeler_ops.stack.home import Home, write_json


def test_secrets_are_made_once_and_are_for_their_owner_only(tmp_path: Path) -> None:
    first = Home(tmp_path).secrets()
    assert Home(tmp_path).secrets() == first
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert len(set(first.values())) == len(first)
    assert min(map(len, first.values())) >= 32


def test_a_secret_that_a_newer_program_needs_is_added(tmp_path: Path) -> None:
    before = Home(tmp_path).secrets()
    write_json(tmp_path / "secrets.json", {k: v for k, v in before.items() if k != "media_link_key"})
    after = Home(tmp_path).secrets()
    assert after["media_link_key"]
    assert {k: v for k, v in after.items() if k != "media_link_key"} == {
        k: v for k, v in before.items() if k != "media_link_key"
    }


def test_data_without_its_secrets_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("15\n")
    with pytest.raises(StackError, match=r"secrets\.json is gone"):
        Home(tmp_path).secrets()


def test_unreadable_secrets_are_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{half a fi")
    with pytest.raises(StackError, match=r"secrets\.json cannot be read"):
        Home(tmp_path).secrets()
    assert (tmp_path / "secrets.json").read_text() == "{half a fi"


def test_unreadable_notes_are_forgotten(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{half a fi")
    assert Home(tmp_path).recall("ports") == {}
    Home(tmp_path).remember("ports", {"postgres": [1]})
    assert Home(tmp_path).recall("ports") == {"postgres": [1]}


def test_one_at_a_time(tmp_path: Path) -> None:
    refused = pytest.raises(StackError, match=r"in use by `labeler up` \(pid \d+\)")
    with Home(tmp_path).locked(), refused, Home(tmp_path).locked():
        pass
    with Home(tmp_path).locked():
        pass


def test_a_home_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="cannot be made"), Home(tmp_path / "file" / "home").locked():
        pass


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "f.json", {"n": 1})
    write_json(tmp_path / "f.json", {"n": 2})
    assert json.loads((tmp_path / "f.json").read_text()) == {"n": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["f.json"]
