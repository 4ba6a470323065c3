"""Small rules: descriptions of objects, keys, parts, the environment, the manifest."""

from pathlib import Path

import pytest

from labeler_ops.files import write_variables
from labeler_ops.storage.access import StorageAccess, StorageError
from labeler_ops.storage.description import described, unlike, wire
from labeler_ops.storage.inventory import oddity
from labeler_ops.storage.manifest import CopiedObject, Manifest, entries
from labeler_ops.storage.parts import part_size
from labeler_ops.storage.s3 import MIB
from labeler_ops.storage.store_variables import read_both, read_store, service_variables

ONE = {"SOURCE_S3_ENDPOINT": "localhost:9000", "SOURCE_S3_ACCESS_KEY": "a", "SOURCE_S3_SECRET_KEY": "it's $ecret"}
TWO = {"TARGET_S3_ENDPOINT": "https://x.r2.cloudflarestorage.com", "TARGET_S3_ACCESS_KEY": "b"}


@pytest.mark.parametrize(
    "text", ["plain", "한글 파일 이름이 꽤 길어서 한 단어에 다 들어가지 않는다.jpg", "é", "=?not?a word"]
)
def test_metadata_comes_back_whichever_way_a_store_gives_it(text: str) -> None:
    sent = wire({"x-amz-meta-name": text})
    assert sent["x-amz-meta-name"].isascii()
    assert all(len(word) <= 75 for word in sent["x-amz-meta-name"].split())
    assert described({"X-Amz-Meta-Name": sent["x-amz-meta-name"]}) == {"x-amz-meta-name": text}  # R2, AWS
    assert described({"X-Amz-Meta-Name": text}) == {"x-amz-meta-name": text}  # MinIO, SeaweedFS


def test_what_belongs_to_the_answer_is_left_out_and_differences_are_named() -> None:
    answer = {"Date": "today", "ETag": "x", "Content-Type": "image/png", "Content-Encoding": "aws-chunked"}
    assert described(answer) == {"content-type": "image/png"}
    assert unlike({"content-type": "a"}, {"content-type": "b", "x-amz-meta-n": "1"}) == [
        "content-type is 'a' on the source, 'b' on the target",
        "metadata 'n' is absent on the source, '1' on the target",
    ]


def test_odd_keys_are_explained() -> None:
    assert oddity("datasets/한글/a b+c.jpg") == ""
    for key in ("/a", "a/", "a//b", "a/../b", "a/./b", "a\nb", "가" * 342):
        assert oddity(key)


def test_parts_are_of_one_size_and_never_too_many() -> None:
    assert part_size(100 * MIB) == 16 * MIB
    huge = 5 * 1024 * 1024 * MIB
    assert -(-huge // part_size(huge)) <= 10_000
    assert part_size(huge) % MIB == 0


def test_the_two_sides_come_from_the_environment() -> None:
    source, target = read_both({**ONE, **TWO, "TARGET_S3_SECRET_KEY": "s", "SOURCE_S3_BUCKET_DATASETS": "d"})
    assert source.endpoint == "http://localhost:9000"
    assert source.buckets == ("d", "annotations")
    assert source.region == "us-east-1"
    assert target.region == "auto"
    own = {name.removeprefix("SOURCE_"): value for name, value in ONE.items()}
    assert read_store(own) == read_store(ONE, "SOURCE")
    with pytest.raises(StorageError, match=r"^S3_SECRET_KEY: missing"):
        read_store(own | {"S3_SECRET_KEY": ""})
    with pytest.raises(StorageError, match="TARGET_S3_SECRET_KEY: missing"):
        read_both({**ONE, **TWO})
    with pytest.raises(StorageError, match="expected http"):
        read_store({**ONE, "SOURCE_S3_ENDPOINT": "ftp://x"}, "SOURCE")
    with pytest.raises(StorageError, match="same bucket of the same store"):
        read_both(ONE | {name.replace("SOURCE", "TARGET"): value for name, value in ONE.items()})
    with pytest.raises(StorageError, match="are the same bucket"):
        read_both({**ONE, **TWO, "TARGET_S3_SECRET_KEY": "s", "SOURCE_S3_BUCKET_DATASETS": "annotations"})


def test_the_environment_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "environment.new"
    write_variables(path, service_variables(read_store(ONE, "SOURCE")))
    assert path.stat().st_mode & 0o777 == 0o600
    assert """S3_SECRET_KEY='it'"'"'s $ecret'\n""" in path.read_text()
    write_variables(path, service_variables(StorageAccess("https://r2", "k", "s")))
    assert "S3_USE_SSL=true\n" in path.read_text()


def test_half_a_line_of_the_manifest_did_not_happen(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    first, second = (CopiedObject("datasets", key, 1, "sha", "e", "now", "f") for key in "ab")
    with Manifest(path) as manifest:
        manifest.add(first)
        manifest.add(second)
    path.write_bytes(path.read_bytes()[:-3])
    assert list(entries(path)) == [first]
    with Manifest(path) as manifest:
        manifest.add(second)
    assert list(entries(path)) == [first, second]


def test_times_that_one_side_alone_has_are_no_difference() -> None:
    """rclone adds them to its copies."""
    there = {"content-type": "image/jpeg", "x-amz-meta-camera": "A 7"}
    copied = {**there, "x-amz-meta-mtime": "1796017782", "x-amz-meta-btime": "2026-11-30T05:49:42Z"}
    assert unlike(there, copied) == []
    assert unlike(copied, there) == []
    assert len(unlike(copied, {**copied, "x-amz-meta-mtime": "1"})) == 1
    assert len(unlike(there, {**copied, "x-amz-meta-camera": "B"})) == 1
