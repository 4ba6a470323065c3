"""Any sequence of calls, to either process, leaves what a small model says."""

import asyncio
import os
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

import httpx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.fixtures.accounts import USER_IDS
from tests.fixtures.annotating import box, check_counters
from tests.fixtures.api import Api
from tests.fixtures.api_processes import Cluster
from tests.fixtures.datasets import Dataset
from tests.fixtures.rows import rows
from tests.races.model import ANNOTATOR, OWNER, REVIEWER, Annotation, Model

T = TypeVar("T")

_EXAMPLES = int(os.environ.get("RACES_EXAMPLES", "20"))  # 2000 for a night
_STEPS = 20
IMAGES = 2

accounts = st.sampled_from([ANNOTATOR, REVIEWER])
images = st.integers(0, IMAGES - 1)
processes = st.integers(0, 1)
notes = st.text("abc", max_size=3)


def machine_on(
    cluster: Cluster, loop: asyncio.AbstractEventLoop
) -> tuple[type[RuleBasedStateMachine], Iterable[httpx.Client]]:
    """Make a machine that works on a cluster from a thread beside the loop, and its clients."""
    people = {
        (account, process): _client(cluster, account, process)
        for account in (ANNOTATOR, REVIEWER, OWNER)
        for process in range(len(cluster.processes))
    }

    class Machine(_Machine):
        api, http = cluster.api, people

        def wait(self, work: Coroutine[Any, Any, T]) -> T:
            return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    return Machine, people.values()


def _client(cluster: Cluster, account: str, process: int) -> httpx.Client:
    token = cluster.api.token(USER_IDS[account], f"{account}@example.com")
    return httpx.Client(
        base_url=f"{cluster.processes[process].url}/api/v1",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        verify=False,
        timeout=30,
    )


class _Machine(RuleBasedStateMachine):
    api: Api
    http: dict[tuple[str, int], httpx.Client]
    known = Bundle[int]("known")

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        members = {ANNOTATOR: "annotator", REVIEWER: "reviewer"}
        classes = {"detection": {"c1": {"name": "scratch", "color": "#00ff00", "order": 0}}}
        self.dataset: Dataset = self.wait(
            self.api.dataset(tasks=["detection"], images=IMAGES, members=members, classes=classes)
        )
        self.model = Model()

    def call(self, account: str, process: int, method: str, path: str, **options: Any) -> httpx.Response:
        answer = self.http[account, process].request(method, path, **options)
        assert answer.status_code != 500, answer.text
        return answer

    def lock(self, image: int, action: str = "") -> str:
        return f"/image-locks/{self.dataset.project_id}/{self.dataset.image_ids[image]}{action}"

    def refusal(self, one: Annotation, account: str, version: int | None = None) -> int | None:
        """The status with which a change is refused, or None."""
        if not one.there:
            return 404
        if account == ANNOTATOR and one.author != ANNOTATOR:
            return 403
        if not self.model.may_write(account, one.image):
            return 423
        return 409 if version is not None and version != one.version else None

    @initialize(target=known, image=images)
    def begin(self, image: int) -> Any:
        """Most rules need an annotation."""
        return self.draw(ANNOTATOR, image, 0)

    @rule(target=known, account=accounts, image=images, process=processes)
    def draw(self, account: str, image: int, process: int) -> Any:
        answer = self.call(account, process, "POST", "/annotations", json=box(self.dataset, image))
        if not self.model.may_write(account, image):
            assert answer.status_code == 423
            return multiple()
        assert answer.status_code == 200
        number: int = answer.json()["id"]
        undone = self.model.undone_by(account, image)
        if undone is None:
            assert number not in self.model.annotations
            self.model.annotations[number] = Annotation(image, account)
        else:
            assert number == undone
        one = self.model.annotations[number]
        one.there, one.confirmed = True, False
        one.write()
        self.model.holders[image] = account
        self.model.settle(image, clear=True)
        return number if undone is None else multiple()

    @rule(known=known, account=accounts, process=processes, note=notes)
    def edit_without_version(self, known: int, account: str, process: int, note: str) -> None:
        self.edit(known, account, process, note, None)

    @rule(known=known, account=accounts, process=processes, note=notes, stale=st.integers(0, 2))
    def edit(self, known: int, account: str, process: int, note: str, stale: int | None) -> None:
        one = self.model.annotations[known]
        version = None if stale is None else max(1, one.version - stale)
        body = {"notes": note} | ({} if version is None else {"version": version})
        answer = self.call(account, process, "PUT", f"/annotations/{known}", json=body)
        refused = self.refusal(one, account, version)
        assert answer.status_code == (refused or 200), answer.text
        if refused is None:
            one.note = note
            one.write()
            assert answer.json()["version"] == one.version
            self.model.holders[one.image] = account
            self.model.settle(one.image, clear=True)

    @rule(known=known, account=accounts, process=processes)
    def delete(self, known: int, account: str, process: int) -> None:
        one = self.model.annotations[known]
        answer = self.call(account, process, "DELETE", f"/annotations/{known}")
        refused = self.refusal(one, account)
        assert answer.status_code == (refused or 200), answer.text
        if refused is None:
            self.model.delete(one, account)
            self.model.holders[one.image] = account
            self.model.settle(one.image)

    @rule(known=known, account=accounts, process=processes, confirmed=st.booleans())
    def confirm(self, known: int, account: str, process: int, confirmed: bool) -> None:
        one = self.model.annotations[known]
        action = "confirm" if confirmed else "unconfirm"
        answer = self.call(account, process, "POST", f"/annotations/{known}/{action}", json={})
        refused = self.refusal(one, account)
        refused = None if refused == 423 else refused  # no write in the sense of locks
        assert answer.status_code == (refused or 200), answer.text
        if refused is None:
            one.confirmed = confirmed
            one.write()
            self.model.settle(one.image, clear=not confirmed, confirm=confirmed)

    @rule(known=known, account=accounts, process=processes, back=st.integers(1, 3))
    def restore(self, known: int, account: str, process: int, back: int) -> None:
        one = self.model.annotations[known]
        wanted = one.version - back
        if wanted < 1 or (state := one.states[wanted - 1]) is None:
            return
        answer = self.call(account, process, "POST", f"/annotations/{known}/restore", json={"revision": wanted})
        deleted, one.there = not one.there, True
        refused = self.refusal(one, account)
        one.there = not deleted
        assert answer.status_code == (refused or 200), answer.text
        if refused is None:
            (one.note, one.confirmed), one.there = state, True
            one.write()
            assert answer.json()["version"] == one.version
            assert answer.json()["id"] == known
            self.model.holders[one.image] = account
            self.model.settle(one.image, clear=True)

    @rule(image=images, process=processes, confirmed=st.booleans())
    def confirm_image(self, image: int, process: int, confirmed: bool) -> None:
        action = "confirm" if confirmed else "unconfirm"
        path = f"/projects/{self.dataset.project_id}/images/{self.dataset.image_ids[image]}/{action}"
        answer = self.call(REVIEWER, process, "POST", path, json={})
        there = self.model.on(image)
        assert answer.status_code == (400 if confirmed and not there else 200), answer.text
        for one in there:
            if one.confirmed != confirmed:
                one.confirmed = confirmed
                one.write()
        self.model.settle(image, clear=not confirmed, confirm=confirmed and bool(there))

    @rule(
        account=accounts, image=images, process=processes, action=st.sampled_from(["acquire", "release", "heartbeat"])
    )
    def hold(self, account: str, image: int, process: int, action: str) -> None:
        holder = self.model.holders.get(image)
        method, path = ("DELETE", "") if action == "release" else ("POST", f"/{action}")
        status = self.call(account, process, method, self.lock(image, path)).json()["status"]
        mine = {"acquire": "refreshed", "release": "released", "heartbeat": "updated"}[action]
        free = "acquired" if action == "acquire" else "not_locked"
        others = "already_locked" if action == "acquire" else "not_owner"
        assert status == {account: mine, None: free}.get(holder, others)
        if action == "release" and holder == account:
            del self.model.holders[image]
        if action == "acquire" and holder is None:
            self.model.holders[image] = account

    @rule(image=images)
    def time_passes(self, image: int) -> None:
        """The lease of an image runs out."""
        self.wait(_expire(self.api, self.dataset, image))
        self.model.holders.pop(image, None)

    @rule(process=processes)
    def publish(self, process: int) -> None:
        body = {"task_type": "detection", "export_format": "dice", "include_draft": False}
        answer = self.call(OWNER, process, "POST", f"/projects/{self.dataset.project_id}/versions/publish", json=body)
        ready = [one for one in self.model.annotations.values() if one.there and one.confirmed]
        assert answer.status_code == (200 if ready else 400), answer.text
        if ready:
            self.model.published.append(len(ready))
            assert answer.json()["version_number"] == f"v{len(self.model.published)}.0"

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        listed = self.call(REVIEWER, 0, "GET", f"/annotations/project/{self.dataset.project_id}").json()
        expected = {
            number: (one.version, one.note, "confirmed" if one.confirmed else "draft")
            for number, one in self.model.annotations.items()
            if one.there
        }
        assert {one["id"]: (one["version"], one["notes"], one["annotation_state"]) for one in listed} == expected
        statuses = self.call(REVIEWER, 1, "GET", f"/projects/{self.dataset.project_id}/images/status").json()[
            "statuses"
        ]
        confirmed = {n for n, status in enumerate(statuses) if status["is_image_confirmed"]}
        assert confirmed == self.model.confirmed_images
        held = self.call(REVIEWER, 0, "GET", f"/image-locks/{self.dataset.project_id}").json()["locks"]
        assert {lock["image_id"]: lock["user_id"] for lock in held} == {
            self.dataset.image_ids[image]: USER_IDS[holder] for image, holder in self.model.holders.items()
        }

    def teardown(self) -> None:
        self.wait(check_counters(self.api, self.dataset))
        found = self.wait(_revisions(self.api, self.dataset))
        assert found == {number: one.version for number, one in self.model.annotations.items()}
        path = f"/projects/{self.dataset.project_id}/versions"
        versions = self.call(OWNER, 0, "GET", path).json()["versions"]
        assert [version["annotation_count"] for version in reversed(versions)] == self.model.published


async def _expire(api: Api, dataset: Dataset, image: int) -> None:
    async with api.db.begin() as tx:
        await tx.execute(
            "UPDATE image_locks SET expires_at = clock_timestamp() WHERE project_id = $1 AND image_id = $2",
            dataset.project_id,
            dataset.image_ids[image],
        )


async def _revisions(api: Api, dataset: Dataset) -> dict[int, int]:
    sql = "SELECT annotation_id, max(revision) AS last, count(*) AS number FROM annotation_history"
    found = await rows(api, f"{sql} WHERE project_id = $1 GROUP BY annotation_id", dataset.project_id)
    assert all(row["last"] == row["number"] for row in found)
    return {row["annotation_id"]: row["last"] for row in found}


async def test_any_sequence_of_calls(cluster: Cluster) -> None:
    machine, clients = machine_on(cluster, asyncio.get_running_loop())
    chosen = settings(
        max_examples=_EXAMPLES,
        stateful_step_count=_STEPS,
        deadline=None,
        derandomize=_EXAMPLES < 100,  # the same in every run of CI
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    try:
        await asyncio.to_thread(run_state_machine_as_test, machine, settings=chosen)
    finally:
        for client in clients:
            client.close()
