"""The shares of the pool: who waits for whom, in which order, and what is left to everybody else."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from labeler_api.db.admission import Admission, ConnectionPurpose, Gate, Permit, Sizes
from labeler_api.errors import TooMany, Unavailable
from labeler_api.telemetry.metrics import Metrics


def soon() -> float:
    return time.monotonic() + 0.05


def later() -> float:
    return time.monotonic() + 30.0


@pytest.mark.parametrize("pool", range(1, 61))
def test_the_sum_holds_for_every_pool(pool: int) -> None:
    sizes = Sizes.of(pool)
    assert min(sizes.everybody, sizes.changing, sizes.long, sizes.project) >= 1
    assert min(sizes.person_reads, sizes.person_changes, sizes.person_long) >= 1
    assert sizes.everybody <= pool
    assert sizes.changing <= sizes.everybody
    assert max(sizes.project, sizes.person_changes) <= sizes.changing
    assert sizes.person_reads <= sizes.everybody
    if pool >= 4:
        assert sizes.everybody == pool - 1, "one is left to the health calls"
        assert sizes.changing < sizes.everybody, "one is left to reading"
        assert sizes.long * 3 < pool
        assert sizes.person < sizes.everybody, "a person leaves one to the others"
    if pool >= 6:
        assert sizes.project < sizes.changing, "a project leaves something to the others"
        assert sizes.person_changes + sizes.person_long < sizes.person, "a person who waits for locks may still read"
        assert sizes.person_changes < sizes.changing


async def test_in_the_order_in_which_they_came() -> None:
    gate, order = Gate(1), list[int]()
    assert gate.try_enter()

    async def come(number: int) -> None:
        assert await gate.enter(later())
        order.append(number)
        await asyncio.sleep(0)
        gate.leave()

    tasks = [asyncio.create_task(come(number)) for number in range(20)]
    await asyncio.sleep(0)
    for number in (3, 7, 19):
        tasks[number].cancel()
    gate.leave()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [number for number in range(20) if number not in (3, 7, 19)]
    assert gate.unused


async def test_nobody_overtakes_who_waits() -> None:
    gate = Gate(1)
    assert gate.try_enter()
    waiting = asyncio.create_task(gate.enter(later()))
    await asyncio.sleep(0)
    gate.leave()
    assert not gate.try_enter(), "the place is promised, though its owner has not run yet"
    assert await waiting


async def test_a_place_that_comes_with_the_cancelling_is_passed_on() -> None:
    gate = Gate(1)
    assert gate.try_enter()
    first, second = (asyncio.create_task(gate.enter(later())) for _ in range(2))
    await asyncio.sleep(0)
    gate.leave()
    first.cancel()
    assert await second
    gate.leave()
    assert gate.unused
    assert first.cancelled()


async def test_a_place_that_does_not_come_in_time() -> None:
    gate = Gate(1)
    assert gate.try_enter()
    assert not await gate.enter(soon())
    assert not await gate.enter(time.monotonic() - 1)
    gate.leave()
    assert gate.unused


async def fill(admission: Admission, work: ConnectionPurpose, person: str = "", project: str = "") -> list[Permit]:
    """Take places until there are no more."""
    passes = []
    while True:
        try:
            passes.append(await admission.admit(work, person, project, soon()))
        except (TooMany, Unavailable):
            return passes


@pytest.mark.parametrize("pool", [6, 11, 15, 30])
async def test_one_person_leaves_room_for_the_others(pool: int) -> None:
    admission, sizes = Admission(pool, Metrics()), Sizes.of(pool)
    held = [pass_ for work in ConnectionPurpose for pass_ in await fill(admission, work, "greedy", "theirs")]
    assert len(held) == sizes.person
    with pytest.raises(TooMany) as caught:
        await admission.admit(ConnectionPurpose.READ, "greedy", "", soon())
    assert caught.value.code == "too_many_at_once"
    assert caught.value.retry_after == 2
    for work in (ConnectionPurpose.READ, ConnectionPurpose.WRITE):
        (await admission.admit(work, "other", "another", soon())).leave()
    for pass_ in held:
        pass_.leave()
    assert len(await fill(admission, ConnectionPurpose.READ)) == sizes.everybody, "every place was given back"


@pytest.mark.parametrize("pool", [6, 11, 15, 30])
async def test_reading_is_never_behind_changes(pool: int) -> None:
    admission, sizes = Admission(pool, Metrics()), Sizes.of(pool)
    held = [*await fill(admission, ConnectionPurpose.LONG), *await fill(admission, ConnectionPurpose.WRITE)]
    assert len(held) == sizes.changing
    assert len(await fill(admission, ConnectionPurpose.READ)) == sizes.everybody - sizes.changing


async def test_a_project_in_which_everybody_waits_leaves_room_for_others() -> None:
    admission = Admission(15, Metrics())
    for number in range(Sizes.of(15).project):
        await admission.admit(ConnectionPurpose.WRITE, f"person {number}", "stuck", soon())
    with pytest.raises(Unavailable) as caught:
        await admission.admit(ConnectionPurpose.WRITE, "person 15", "stuck", soon())
    assert caught.value.code == "project_busy"
    assert caught.value.retry_after == 2
    (await admission.admit(ConnectionPurpose.WRITE, "person 1", "another", soon())).leave()


async def test_a_project_is_one_by_either_of_its_ids() -> None:
    admission = Admission(15, Metrics())
    admission.alias_dataset("ds_1", "proj_1")
    await fill(admission, ConnectionPurpose.WRITE, "", "proj_1")
    with pytest.raises(Unavailable):
        await admission.admit(ConnectionPurpose.WRITE, "", "ds_1", soon())


async def test_whoever_holds_a_connection_does_not_wait_for_a_project() -> None:
    admission = Admission(15, Metrics())
    passes = [await admission.admit(ConnectionPurpose.WRITE, f"person {number}", "", soon()) for number in range(7)]
    joined = [admission.join(pass_, "project") for pass_ in passes]
    assert joined == [True] * 5 + [False] * 2
    assert admission.join(passes[0], "another"), "in a second project at once nobody queues"


async def test_a_queue_has_an_end() -> None:
    metrics = Metrics()
    admission = Admission(15, metrics)
    await fill(admission, ConnectionPurpose.READ, "greedy")
    waiting = [asyncio.create_task(admission.admit(ConnectionPurpose.READ, "greedy", "", later())) for _ in range(300)]
    await asyncio.sleep(0)
    refused = [task for task in waiting if task.done()]
    assert len(refused) == 300 - 256
    assert {type(task.exception()) for task in refused} == {TooMany}
    assert metrics.share_waiting.labels("person_reads")._value.get() == 256
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert metrics.share_waiting.labels("person_reads")._value.get() == 0


async def test_many_come_and_go_and_nothing_is_lost() -> None:
    """Waiting, giving up, being cancelled: in the end every place is there again, and no name is remembered."""
    admission, inside, most = Admission(15, Metrics()), 0, 0

    async def come(number: int) -> None:
        nonlocal inside, most
        work = list(ConnectionPurpose)[number % 3]
        pass_ = await admission.admit(work, f"person {number % 7}", f"project {number % 3}", time.monotonic() + 0.3)
        inside += 1
        most = max(most, inside)
        try:
            await asyncio.sleep(0.001 * (number % 5))
        finally:
            inside -= 1
            pass_.leave()

    tasks = [asyncio.create_task(come(number)) for number in range(600)]
    await asyncio.sleep(0.01)
    for task in tasks[::11]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert inside == 0
    assert most <= 14
    async with AsyncExitStack() as stack:
        for _ in range(11):
            stack.callback((await admission.admit(ConnectionPurpose.WRITE, "", "", soon())).leave)
        for _ in range(3):
            stack.callback((await admission.admit(ConnectionPurpose.READ, "", "", soon())).leave)
    assert all(not share._gates for share in (admission._person, *admission._of_person.values()))
