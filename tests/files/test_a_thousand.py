"""An upload of a thousand files, some of them bad in every way that is known here."""

from collections.abc import Iterator

from tests.files import made_pictures as made
from tests.files.test_names import body, post
from tests.fixtures.api import Api
from tests.fixtures.pictures import counters, image_rows, picture, pixel_flood

FILES, BAD_OF_A_KIND = 1000, 40
SMALL = (16, 12)
GOOD = [
    picture(*SMALL),
    picture(*SMALL, "PNG"),
    picture(*SMALL, "WEBP"),
    picture(*SMALL, "GIF"),
    picture(*SMALL, "BMP"),
    picture(*SMALL, "TIFF"),
    made.saved(made.painted(*SMALL), "MPO", save_all=True, append_images=[made.painted(8, 6)]),
    made.TIFFS["a maker beyond the end, big-endian"],
    made.PNGS["an animation of no frames"],
    made.jpeg_with_exif(made.EXIF["a text behind the end, before"][0]),
    made.webp_with_exif(made.EXIF["a header alone"][0]),
    made.deep_tiff(">H", 0, 65535, width=16, height=12),
]
BAD_CONTENT = {
    "it is empty": b"",
    "it is not a JPEG, PNG, WebP, GIF, BMP or TIFF image": b"some text",
    "but a HEIC picture": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(90),
    "but a camera raw file": made.tiff((50706, 1, 4, 1)),
    "begins as a JPEG image and cannot be decoded": picture()[:30],
    "it is damaged": made.saved(made.painted(60, 40), "PNG")[:-60],
    "more than 350000000 pixels": pixel_flood(),
    "not a ZIP archive": b"PK\x03\x04",
}
BAD_NAMES = {
    "points upwards": 'name="files"; filename="..\\{n}.jpg"',
    "is absolute": 'name="files"; filename="C:\\{n}.jpg"',
    "more than 255 bytes": f'name="files"; filename="{"가" * 84}{{n:04}}/1.jpg"',
    "is not UTF-8": "name=\"files\"; filename*=utf-8''%FF{n}.jpg",
    "without a name": 'name="files"',
}


def bad(number: int) -> Iterator[tuple[str, bytes]]:
    """One of each kind."""
    for kind, (reason, content) in enumerate(BAD_CONTENT.items()):
        extension = "zip" if "ZIP" in reason else "jpg"
        yield f'name="files"; filename="bad/{kind}/{number}.{extension}"', content
    for said in BAD_NAMES.values():
        yield said.format(n=number), GOOD[0]


async def test_of_a_thousand_mixed_files_every_good_one_is_stored_and_every_bad_one_named(api: Api) -> None:
    dataset = await api.dataset()
    refused = [part for number in range(BAD_OF_A_KIND) for part in bad(number)]
    count = FILES - len(refused)
    taken = [(f'name="files"; filename="good\\{number}.jpg"', GOOD[number % len(GOOD)]) for number in range(count)]
    # Evenly mixed, so that a good one comes before and after each kind.
    mixed = [part for one in zip(refused, taken, strict=False) for part in one] + refused[count:]
    mixed += taken[len(refused) :]
    answer = await post(api, f"/api/v1/datasets/{dataset.id}/images", body(*mixed))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["images_uploaded"] == count
    assert found["failed_total"] == len(refused)
    assert len(mixed) == FILES
    assert set(await image_rows(api, dataset)) == {f"good/{number}" for number in range(count)}
    counted = await counters(api, dataset)
    assert counted.of_dataset == count
    assert counted.of_project == count
    assert len(found["failed"]) == len(refused)
    for reason in [*BAD_CONTENT, *BAD_NAMES]:
        named = [one["filename"] for one in found["failed"] if reason in one["reason"]]
        # A sentence may hold another's words: "it is not … but a HEIC picture".
        assert len(named) >= BAD_OF_A_KIND, reason
        assert len(set(named)) >= BAD_OF_A_KIND or reason == "without a name"
