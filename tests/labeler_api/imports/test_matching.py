"""Which image of the dataset a name in a file means; classes of a file among those of a task."""

from typing import Any

import pytest

from labeler_api.imports.checking.matching import place
from labeler_api.imports.readers.items import FileClass, FileImage, Problems
from labeler_api.imports.writing.class_merge import merge
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset

PATHS = ["a/1.jpg", "b/1.jpg", "a/b/1.jpg", "2.png", "deep/er/3.v2.jpg", "폴더/사진.jpg", "images/zip/007.png"]


async def shelf(api: Api, *paths: str) -> Dataset:
    """A dataset with these images; an id that is taken already becomes the whole path."""
    dataset = await api.dataset()
    ids: dict[str, str] = {}
    for path in paths:
        stem = path.rpartition(".")[0]
        ids[path] = path if stem in ids.values() else stem
    async with api.db.begin() as tx:
        await tx.executemany(
            "INSERT INTO image_metadata (dataset_id, id, file_name, s3_key, folder_path, size, width, height)"
            " VALUES ($1, $2, $3, $4, NULLIF($5, ''), 1, 64, 48)",
            [
                (
                    dataset.id,
                    ids[p],
                    p.rpartition("/")[2],
                    f"datasets/{dataset.id}/images/{p}",
                    p.rpartition("/")[0],
                )
                for p in paths
            ],
        )
    return dataset


async def found(api: Api, dataset: Dataset, *names: str, has_extension: bool = True) -> list[str | None]:
    problems = Problems()
    images = [FileImage(f"images[{n}]", name, has_extension=has_extension) for n, name in enumerate(names)]
    async with api.db.read() as connection:
        placed = await place(connection, dataset.id, images, problems)
    assert problems.count == sum(one is None for one in placed)
    return [one.id if one else problems.first.pop(0).message for one in placed]


async def test_names_are_matched_with_and_without_extension(api: Api) -> None:
    dataset = await shelf(api, *PATHS)
    names = ["a/1.jpg", "a/1", "a/1.png", "./a/1.jpg", "a\\1.jpg", "/2.png", "deep/er/3.v2", "폴더/사진.jpg"]
    expected = ["a/1", "a/1", "a/1", "a/1", "a/1", "2", "deep/er/3.v2", "폴더/사진"]
    with api.count() as number:
        assert await found(api, dataset, *names) == expected
    assert number.value == 1


async def test_two_extensions_of_one_name_stay_apart(api: Api) -> None:
    dataset = await shelf(api, "x.jpg", "x.png")
    assert await found(api, dataset, "x.jpg", "x.png", "x", "x.bmp") == ["x", "x.png", "x", "x"]
    assert await found(api, dataset, "x", "x.png", has_extension=False) == ["x", "x.png"]


async def test_ends_of_paths_are_found_where_there_is_one(api: Api) -> None:
    dataset = await shelf(api, *PATHS)
    assert await found(api, dataset, "3.v2.jpg") == ["deep/er/3.v2"]
    names = ["er/3.v2", "zip/007", "zip/007.png", "/home/me/a/b/1.jpg", "export/2.png", "b/1.jpg"]
    expected = ["deep/er/3.v2", "images/zip/007", "images/zip/007", "a/b/1", "2", "b/1"]
    with api.count() as number:
        found_ids = await found(api, dataset, *names)
    assert number.value == 3
    assert found_ids[:3] == expected[:3]
    # Both b/1 and a/b/1 end what the file says.
    assert found_ids[3] == "2 images of the dataset could be '/home/me/a/b/1.jpg'; give the whole path"
    assert found_ids[4:] == expected[4:]


async def test_several_names_for_one_image_are_no_guess_either(api: Api) -> None:
    dataset = await shelf(api, "1.jpg", "2.jpg")
    told = "2 images of the file could be '1' of the dataset, '{}' among them; give the whole paths"
    assert await found(api, dataset, "train/1.jpg", "valid/1.jpg", "train/2.jpg") == [
        told.format("train/1.jpg"),
        told.format("valid/1.jpg"),
        "2",
    ]
    assert await found(api, dataset, "1.jpg", "valid/1.jpg", "./1.jpg") == ["1", told.format("valid/1.jpg"), "1"]


async def test_no_guess_is_made(api: Api) -> None:
    dataset = await shelf(api, *PATHS)
    assert await found(api, dataset, "1.jpg", "c/1.jpg", "er/2.png", "", "%", "3") == [
        "3 images of the dataset could be '1.jpg'; give the whole path",
        "the dataset has no image 'c/1.jpg'",
        "2",  # nothing else ends it, and the folder in front may be anything
        "the dataset has no image ''",
        "the dataset has no image '%'",
        "the dataset has no image '3'",
    ]


STORED = {
    "1": {"name": "cat", "color": "#000000", "order": 0},
    "c9": {"name": "dog", "color": "#000000", "order": 2},
    "c8": {"name": "dog", "color": "#000000", "order": 1},
}


@pytest.mark.parametrize(
    ("wanted", "ids", "added"),
    [
        ([("5", "cat")], ["1"], []),
        ([("c9", "dog"), ("2", "dog"), ("3", "dog")], ["c9", "c8", "3"], ["3"]),
        ([("2", "cow"), ("7", "hen")], ["2", "7"], ["2", "7"]),
        ([("5", "Cat")], ["5"], ["5"]),
    ],
)
def test_classes_are_found_by_id_and_name_then_by_name(wanted: Any, ids: list[str], added: list[str]) -> None:
    merged = merge(STORED, [FileClass(key, name) for key, name in wanted])
    assert merged.ids == ids
    assert merged.added == added
    orders = [info["order"] for info in merged.classes.values()]
    assert len(set(orders)) == len(orders)


def test_a_number_that_means_another_class_is_not_taken_for_it() -> None:
    merged = merge(STORED, [FileClass("1", "dog house", "red", "places"), FileClass("a b", "x", "#ABCDEF", "object")])
    first, second = merged.ids
    assert first not in STORED
    assert merged.classes["1"]["name"] == "cat"
    assert merged.classes[first]["supercategory"] == "places"
    assert merged.classes[first]["color"].startswith("#")
    assert merged.classes[second] == {"name": "x", "color": "#ABCDEF", "description": None, "order": 4}
    assert len(second) == 8
