"""What the filters of the annotation screen would say, beside what the database holds."""

from collections.abc import Iterable

import pytest

from tests.fixtures.annotating import MEMBERS
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows
from tests.frontend.client import BOX, COMPLETED, IN_PROGRESS, Filters, Screen

_TRUTH = """
    SELECT a.image_id, coalesce(bool_and(s.is_image_confirmed), false) AS completed
    FROM annotations a
    LEFT JOIN image_annotation_status s
      ON s.project_id = a.project_id AND s.image_id = a.image_id AND s.task_type = a.task_type
    WHERE a.project_id = $1 AND a.task_type = $2 GROUP BY a.image_id
"""


async def truth(api: Api, dataset: Dataset, task: str) -> tuple[set[str], set[str]]:
    """The images that are completed, and those in progress."""
    found = await rows(api, _TRUTH, dataset.project_id, task)
    return (
        {row["image_id"] for row in found if row["completed"]},
        {row["image_id"] for row in found if not row["completed"]},
    )


async def agree(api: Api, dataset: Dataset, screen: Screen) -> Filters:
    """The screen shows what is so; return its numbers."""
    completed, in_progress = await truth(api, dataset, screen.task)
    assert screen.shown(COMPLETED) == completed
    assert screen.shown(IN_PROGRESS) == in_progress
    begun = len(completed) + len(in_progress)
    expected = Filters(len(completed), len(in_progress), len(dataset.image_ids) - begun)
    assert screen.filters() == expected
    return expected


async def fill(api: Api, dataset: Dataset, drafts: Iterable[int], confirmed: Iterable[int]) -> None:
    """Draw a box on images at these positions, and confirm some."""
    client = await api.login("reviewer")
    drafts, confirmed = list(drafts), list(confirmed)
    boxes = [
        {"image_id": dataset.image_ids[number], "annotation_type": "bbox", "geometry": BOX, "class_id": "c1"}
        for number in (*drafts, *confirmed)
    ]
    body = {"annotations": [{"project_id": dataset.project_id, **box} for box in boxes]}
    answer = (await client.post("/api/v1/annotations/batch", json=body)).json()
    assert answer["failed"] == 0, answer
    found = await rows(
        api,
        "SELECT id FROM annotations WHERE project_id = $1 AND image_id = ANY($2::text[])",
        dataset.project_id,
        [dataset.image_ids[number] for number in confirmed],
    )
    body = {"annotation_ids": [row["id"] for row in found]}
    answer = (await client.post("/api/v1/annotations/bulk-confirm", json=body)).json()
    assert answer["failed"] == 0, answer


async def project(api: Api, images: int, tasks: list[str] | None = None) -> Dataset:
    return await api.dataset(images=images, tasks=tasks or ["detection"], members=MEMBERS)


async def test_work_behind_the_first_two_hundred_images(api: Api) -> None:
    dataset = await project(api, 300)
    await fill(api, dataset, range(250, 255), range(255, 260))
    screen = Screen(await api.login("reviewer"), dataset.project_id)
    await screen.open()
    assert await agree(api, dataset, screen) == Filters(5, 5, 290)
    while await screen.scroll():
        await agree(api, dataset, screen)
    assert screen.images == dataset.image_ids
    assert screen.status(dataset.image_ids[252]) == IN_PROGRESS
    assert screen.browser.unchanged, "statuses that nobody changed come as a 304"


async def test_half_of_two_thousand_images_begun(api: Api) -> None:
    dataset = await project(api, 2000)
    await fill(api, dataset, range(0, 2000, 4), range(2, 2000, 4))
    screen = Screen(await api.login("reviewer"), dataset.project_id)
    await screen.open()
    assert await agree(api, dataset, screen) == Filters(500, 500, 1000)
    for _ in range(4):
        await screen.scroll()
        await agree(api, dataset, screen)


@pytest.mark.parametrize("position", [3, 1997])
async def test_each_step_of_a_persons_work(api: Api, position: int) -> None:
    dataset = await project(api, 2000)
    await fill(api, dataset, range(1000, 1010), range(1500, 1510))
    client = await api.login("reviewer")
    screen, again = Screen(client, dataset.project_id), Screen(client, dataset.project_id)
    await screen.open()
    await screen.open_image(dataset.image_ids[position])

    async def both_agree(*, confirmed: bool | None) -> None:
        """What this screen shows, and what it shows after a reload."""
        await agree(api, dataset, screen)
        await again.open()
        numbers = await agree(api, dataset, again)
        assert numbers == Filters(10 + (confirmed is True), 10 + (confirmed is False), 1980 - (confirmed is not None))

    await both_agree(confirmed=None)
    first = await screen.draw()
    await both_agree(confirmed=False)
    second = await screen.draw()
    await screen.confirm(first["id"])
    await both_agree(confirmed=False)
    await screen.confirm(second["id"])
    await both_agree(confirmed=True)
    await screen.move(first["id"])
    await both_agree(confirmed=False)
    await screen.confirm_image()
    await both_agree(confirmed=True)
    await screen.delete(first["id"])
    await both_agree(confirmed=True)
    await screen.unconfirm_image()
    await both_agree(confirmed=False)
    await screen.delete(second["id"])
    await both_agree(confirmed=None)
    nothing = await screen.say_no_object()
    await both_agree(confirmed=False)
    await screen.confirm(nothing["id"])
    await both_agree(confirmed=True)
    await screen.unconfirm(nothing["id"])
    await both_agree(confirmed=False)


async def test_somebody_elses_work_shows_with_the_next_page(api: Api) -> None:
    dataset = await project(api, 300)
    mine = Screen(await api.login("annotator"), dataset.project_id)
    theirs = Screen(await api.login("reviewer"), dataset.project_id)
    await mine.open()
    await theirs.open()
    for number in (210, 299):
        await theirs.open_image(dataset.image_ids[number])
        await theirs.draw()
        await mine.scroll()
        await agree(api, dataset, mine)
        await theirs.confirm_image()
        await mine.refresh()
        await agree(api, dataset, mine)


async def test_the_first_task_to_open_is_one_that_was_begun_anywhere(api: Api) -> None:
    dataset = await project(api, 300, ["segmentation", "detection"])
    await fill(api, dataset, [280], [])
    screen = Screen(await api.login("reviewer"), dataset.project_id)
    await screen.open()
    assert screen.task == "detection"
    assert await agree(api, dataset, screen) == Filters(0, 1, 299)
    await screen.choose_task("segmentation")
    assert await agree(api, dataset, screen) == Filters(0, 0, 300)
