"""What each write does to the image's status: every transition, as a table."""

from typing import Any

import pytest

from tests.fixtures.accounts import REVIEWER
from tests.fixtures.annotating import (
    Draw,
    at,
    box,
    check_counters,
    create_annotation,
    no_object,
    polygon,
    project_with_members,
)
from tests.fixtures.api import Api
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows

# State of the row after a step: confirmed annotations / annotations, and whether the image is confirmed.
State = tuple[str, bool] | None
DRAFT_OF_ONE: State = ("0/1", False)

TRANSITIONS: dict[str, list[tuple[str, State]]] = {
    "a draft begins the work": [("draw a", DRAFT_OF_ONE)],
    "the image is confirmed": [("draw a", DRAFT_OF_ONE), ("confirm image", ("1/1", True))],
    "with several drafts": [("draw a", DRAFT_OF_ONE), ("draw b", ("0/2", False)), ("confirm image", ("2/2", True))],
    "confirmed one by one": [
        ("draw a", DRAFT_OF_ONE),
        ("draw b", ("0/2", False)),
        ("confirm a", ("1/2", False)),
        ("confirm b", ("2/2", True)),
    ],
    "confirming again changes nothing": [
        ("draw a", DRAFT_OF_ONE),
        ("confirm a", ("1/1", True)),
        ("confirm a", ("1/1", True)),
    ],
    "a new draft clears": [("draw a", DRAFT_OF_ONE), ("confirm image", ("1/1", True)), ("draw b", ("1/2", False))],
    "an edit clears, and the annotation stays confirmed": [
        ("draw a", DRAFT_OF_ONE),
        ("confirm image", ("1/1", True)),
        ("edit a", ("1/1", False)),
    ],
    "after an edit the image is confirmed again": [
        ("draw a", DRAFT_OF_ONE),
        ("confirm image", ("1/1", True)),
        ("edit a", ("1/1", False)),
        ("confirm image", ("1/1", True)),
    ],
    "after an edit confirming the annotation confirms the image": [
        ("draw a", DRAFT_OF_ONE),
        ("confirm image", ("1/1", True)),
        ("edit a", ("1/1", False)),
        ("confirm a", ("1/1", True)),
    ],
    "an unconfirm clears": [("draw a", DRAFT_OF_ONE), ("confirm a", ("1/1", True)), ("unconfirm a", DRAFT_OF_ONE)],
    "an unconfirm of a draft": [("draw a", DRAFT_OF_ONE), ("unconfirm a", DRAFT_OF_ONE)],
    "deleting one of several leaves it set": [
        ("draw a", DRAFT_OF_ONE),
        ("draw b", ("0/2", False)),
        ("confirm image", ("2/2", True)),
        ("delete a", ("1/1", True)),
    ],
    "deleting the last draft does not set it": [
        ("draw a", DRAFT_OF_ONE),
        ("draw b", ("0/2", False)),
        ("confirm a", ("1/2", False)),
        ("delete b", ("1/1", False)),
    ],
    "deleting the last annotation removes the row": [
        ("draw a", DRAFT_OF_ONE),
        ("confirm image", ("1/1", True)),
        ("delete a", None),
        ("draw b", DRAFT_OF_ONE),
    ],
    "no_object alone does not confirm the image": [("none n", ("1/1", False)), ("confirm image", ("1/1", True))],
    "no_object on a confirmed image leaves it confirmed": [
        ("draw a", DRAFT_OF_ONE),
        ("confirm image", ("1/1", True)),
        ("none n", ("2/2", True)),
    ],
    "confirming a no_object confirms the image": [("none n", ("1/1", False)), ("confirm n", ("1/1", True))],
    "the last draft beside a no_object": [
        ("none n", ("1/1", False)),
        ("draw a", ("1/2", False)),
        ("confirm a", ("2/2", True)),
    ],
    "another task's work leaves it set": [
        ("draw a", DRAFT_OF_ONE),
        ("confirm image", ("1/1", True)),
        ("outline p", ("1/1", True)),
        ("delete p", ("1/1", True)),
    ],
    "all tasks are confirmed": [("draw a", DRAFT_OF_ONE), ("outline p", DRAFT_OF_ONE), ("confirm all", ("1/1", True))],
}


class Person:
    """Does the steps of the table on the first image, as a reviewer."""

    def __init__(self, api: Api, dataset: Dataset) -> None:
        self.api, self.dataset = api, dataset
        self.drawn: dict[str, dict[str, Any]] = {}

    async def do(self, step: str) -> None:
        client = await self.api.login("reviewer")
        verb, what = step.split()
        new: dict[str, Draw] = {"draw": box, "outline": polygon, "none": no_object}
        if verb in new:
            self.drawn[what] = await create_annotation(client, new[verb](self.dataset, 0))
        elif what in {"image", "all"}:
            task = {"task_type": "detection"} if what == "image" else {}
            target = f"/api/v1/projects/{self.dataset.project_id}/images/{self.dataset.image_ids[0]}/confirm"
            assert (await client.post(target, params=task, json={})).status_code == 200
        elif verb in {"confirm", "unconfirm"}:
            assert (await client.post(at(self.drawn[what], f"/{verb}"), json={})).status_code == 200
        elif verb == "edit":
            assert (await client.put(at(self.drawn[what]), json={"notes": "edited"})).status_code == 200
        else:
            assert (await client.delete(at(self.drawn[what]))).status_code == 200

    async def state(self) -> State:
        found = await rows(
            self.api,
            "SELECT status, is_image_confirmed, confirmed_at, total_annotations, confirmed_annotations"
            " FROM image_annotation_status WHERE project_id = $1 AND image_id = $2 AND task_type = 'detection'",
            self.dataset.project_id,
            self.dataset.image_ids[0],
        )
        if not found:
            return None
        (row,) = found
        assert row["status"] == ("completed" if row["is_image_confirmed"] else "in-progress")
        assert (row["confirmed_at"] is not None) == row["is_image_confirmed"]
        return f"{row['confirmed_annotations']}/{row['total_annotations']}", row["is_image_confirmed"]


@pytest.mark.parametrize("name", TRANSITIONS)
async def test_transitions(api: Api, name: str) -> None:
    dataset = await project_with_members(api)
    person = Person(api, dataset)
    for number, (step, expected) in enumerate(TRANSITIONS[name], start=1):
        await person.do(step)
        assert await person.state() == expected, step
        await check_counters(api, dataset)
        (project,) = await rows(api, "SELECT revision FROM annotation_projects WHERE id = $1", dataset.project_id)
        assert project["revision"] == number, "every change bumps the revision"


async def test_an_edit_leaves_the_annotations_own_state(api: Api) -> None:
    dataset = await project_with_members(api)
    client = await api.login("reviewer")
    body = await create_annotation(client, box(dataset))
    await client.post(at(body, "/confirm"))
    edited = (await client.put(at(body), json={"notes": "x"})).json()
    assert edited["annotation_state"] == "confirmed"
    assert edited["confirmed_by"] == REVIEWER.id
    assert edited["version"] == 3


async def test_a_row_for_each_task_however_it_was_confirmed(api: Api) -> None:
    dataset = await project_with_members(api)
    person = Person(api, dataset)
    for step in ("draw a", "outline p", "confirm all", "confirm image", "edit p"):
        await person.do(step)
    assert await rows(api, "SELECT task_type, is_image_confirmed AS done FROM image_annotation_status ORDER BY 1") == [
        {"task_type": "detection", "done": True},
        {"task_type": "segmentation", "done": False},
    ]


async def test_deleting_keeps_the_moment_of_the_confirmation(api: Api) -> None:
    dataset = await project_with_members(api)
    person = Person(api, dataset)
    for step in ("draw a", "draw b", "confirm image"):
        await person.do(step)
    select = "SELECT confirmed_at, id FROM image_annotation_status"
    before = await rows(api, select)
    await person.do("delete a")
    assert await rows(api, select) == before
