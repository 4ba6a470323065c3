"""`labeler storage adopt`, and what `init` and `check` say of the tie."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import asyncpg
import msgspec
import pytest
from typer.testing import CliRunner, Result

from labeler_api.object_store.bucket_ownership import KEY
from labeler_ops.cli import app
from labeler_ops.storage import adoption_report
from labeler_ops.storage.access import StorageAccess
from labeler_ops.storage.buckets import connect
from tests.fixtures.api import Api
from tests.fixtures.tied_store import give_new_id, tied_store

__all__ = ["tied_store"]

# What deleting images leaves: a row elsewhere, and the object where it was.
DELETE = """
    WITH gone AS (DELETE FROM image_metadata WHERE s3_key = ANY ($1::text[]) RETURNING *)
    INSERT INTO deleted_images (
        dataset_id, image_id, deleted_by, restorable_until, purge_after, annotation_count, s3_key, image)
    SELECT dataset_id, id, 1, now() + interval '1 day', now() + interval '1 day', 0, s3_key, to_jsonb(gone) FROM gone
"""

Run = Callable[..., "asyncio.Future[Result]"]


@pytest.fixture
def run(tied_store: StorageAccess, api: Api) -> Run:
    """Run `labeler storage …` with the test's database and buckets."""
    environment = {
        "LABELER_DB_URL": api.services.settings.labeler_db_url,
        "S3_ENDPOINT": tied_store.endpoint,
        "S3_ACCESS_KEY": tied_store.access_key,
        "S3_SECRET_KEY": tied_store.secret_key,
        "S3_BUCKET_DATASETS": tied_store.datasets_bucket,
        "S3_BUCKET_ANNOTATIONS": tied_store.annotations_bucket,
    }

    def run(*arguments: str, answer: str = "", **variables: str) -> "asyncio.Future[Result]":
        invoked = asyncio.to_thread(
            CliRunner().invoke, app, ["storage", *arguments], input=answer, env=environment | variables
        )
        return asyncio.ensure_future(invoked)

    return run


async def put(access: StorageAccess, *keys: str, body: bytes = b"bytes") -> None:
    async with connect(access) as client:
        for key in keys:
            await client.put_object(Bucket=access.datasets_bucket, Key=key, Body=body)


async def ties(access: StorageAccess) -> list[str | None]:
    """The ids that the two buckets name."""
    found: list[str | None] = []
    async with connect(access) as client:
        for bucket in access.buckets:
            listed = await client.list_objects_v2(Bucket=bucket, Prefix=KEY)
            if not listed.get("Contents"):
                found.append(None)
                continue
            answer = await client.get_object(Bucket=bucket, Key=KEY)
            async with answer["Body"] as body:
                found.append(msgspec.json.decode(await body.read())["id"])
    return found


async def id_of(api: Api) -> str:
    async with api.db.read() as connection:
        identity: UUID = await connection.fetchval("SELECT id FROM labeler_identity")
    return str(identity)


async def with_objects(api: Api, access: StorageAccess, images: int = 10, there: int = 10) -> list[str]:
    dataset = await api.dataset(images=images)
    keys = [f"datasets/{dataset.id}/images/{image_id}.jpg" for image_id in dataset.image_ids]
    await put(access, *keys[:there])
    return keys


async def test_buckets_of_before_are_tied_after_a_yes(api: Api, tied_store: StorageAccess, run: Run) -> None:
    await with_objects(api, tied_store)
    no = await run("adopt", answer="n\n")
    assert no.exit_code == 1
    assert await ties(tied_store) == [None, None]
    for shown in (
        "1 datasets, 10 images",
        "10 of 10 that were looked for",
        "10 of 10 that were looked at",
        "10 objects; it has no .labeler/database.json",
        "test_",
        await id_of(api),
        tied_store.endpoint,
        tied_store.datasets_bucket,
        "Do these two belong together?",
    ):
        assert shown in no.stdout, no.stdout
    assert "postgresql://" not in no.stdout
    yes = await run("adopt", answer="y\n")
    assert yes.exit_code == 0
    assert await ties(tied_store) == [await id_of(api)] * 2
    again = await run("adopt")
    assert again.exit_code == 0
    assert "already" in again.stdout


async def test_a_script_says_yes_by_an_option(api: Api, tied_store: StorageAccess, run: Run) -> None:
    await with_objects(api, tied_store)
    done = await run("adopt", "--yes")
    assert done.exit_code == 0
    assert await ties(tied_store) == [await id_of(api)] * 2


@pytest.mark.parametrize(
    ("images", "there", "others", "doubt"),
    [
        (10, 4, 0, "of the database's images, only 4 of 10"),
        (10, 0, 0, "of the database's images, only 0 of 10"),
        (0, 0, 10, "of the bucket's images, only 0 of 10"),  # an empty database before a full bucket
        (4, 4, 5, "of the bucket's images, only 4 of 9"),  # all of its own are there, among those of somebody else
    ],
)
async def test_two_strangers_are_not_tied_unless_it_is_said(
    api: Api, tied_store: StorageAccess, run: Run, images: int, there: int, others: int, doubt: str
) -> None:
    await with_objects(api, tied_store, images, there)
    await put(tied_store, *(f"datasets/of_others/images/{number}.jpg" for number in range(others)))
    refused = await run("adopt", "--yes")
    assert refused.exit_code == 1
    assert await ties(tied_store) == [None, None]
    assert doubt in refused.stderr
    forced = await run("adopt", "--yes", "--although-images-are-missing")
    assert forced.exit_code == 0
    assert await ties(tied_store) == [await id_of(api)] * 2


async def test_images_that_can_be_brought_back_are_the_database_s_too(
    api: Api, tied_store: StorageAccess, run: Run
) -> None:
    keys = await with_objects(api, tied_store)
    async with api.db.begin() as connection:
        await connection.execute(DELETE, keys[:8])
    done = await run("adopt", "--yes")
    assert done.exit_code == 0, done.stderr
    assert await ties(tied_store) == [await id_of(api)] * 2, done.stderr
    for shown in (
        "1 datasets, 2 images, 8 deleted images",
        "10 of 10 that were looked for",
        "10 of 10 that were looked at",
    ):
        assert shown in done.stdout


async def test_the_looks_at_both_sides_have_an_end(
    api: Api, tied_store: StorageAccess, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption_report, "COUNTED_AT_MOST", 8)
    monkeypatch.setattr(adoption_report, "SAMPLE", 3)
    await with_objects(api, tied_store)
    shown = (await run("adopt", "--yes")).stdout
    assert "8 objects or more" in shown
    assert "3 of 3 that were looked for" in shown
    assert "3 of 3 that were looked at" in shown


async def test_half_of_them_are_enough(api: Api, tied_store: StorageAccess, run: Run) -> None:
    await with_objects(api, tied_store, 10, 5)
    assert (await run("adopt", "--yes")).exit_code == 0


async def test_buckets_of_another_database_are_taken_over_by_its_id_only(
    api: Api, tied_store: StorageAccess, run: Run
) -> None:
    await with_objects(api, tied_store)
    assert (await run("adopt", "--yes")).exit_code == 0
    old = await id_of(api)
    await give_new_id(api.services.settings.labeler_db_url)
    for arguments in ((), ("--although-images-are-missing",), ("--instead-of", await id_of(api))):
        refused = await run("adopt", "--yes", *arguments)
        assert refused.exit_code == 1
        assert await ties(tied_store) == [old] * 2
        assert f"--instead-of {old}" in refused.stderr
    taken = await run("adopt", "--yes", "--instead-of", old)
    assert taken.exit_code == 0
    assert await ties(tied_store) == [await id_of(api)] * 2


async def test_a_tie_that_cannot_be_read_is_written_anew(api: Api, tied_store: StorageAccess, run: Run) -> None:
    await with_objects(api, tied_store)
    await put(tied_store, KEY, body=b"{}")
    assert (await run("adopt", "--yes")).exit_code == 0
    assert await ties(tied_store) == [await id_of(api)] * 2


async def test_a_side_that_is_away_is_said_to_be(tied_store: StorageAccess, run: Run) -> None:
    away = await run("adopt", "--yes", S3_ENDPOINT="http://127.0.0.1:1")
    assert away.exit_code == 1
    assert "not available" in away.stderr
    gone = await run("adopt", "--yes", LABELER_DB_URL="postgresql://nobody@127.0.0.1:1/nothing")
    assert gone.exit_code == 1
    assert isinstance(gone.exception, SystemExit)
    missing = await run("adopt", "--yes", S3_BUCKET_DATASETS="misspelt")
    assert missing.exit_code == 1
    assert "misspelt does not exist" in missing.stderr
    assert (await run("adopt", "--yes", LABELER_DB_URL="")).exit_code == 2


async def test_a_database_without_an_id_is_said_to_need_the_upgrade(api: Api, run: Run) -> None:
    connection = await asyncpg.connect(api.services.settings.labeler_db_url)
    await connection.execute("DROP TABLE labeler_identity")
    await connection.close()
    refused = await run("adopt", "--yes")
    assert refused.exit_code == 1
    assert "labeler db upgrade" in refused.stderr


async def test_init_ties_empty_buckets(api: Api, tied_store: StorageAccess, run: Run) -> None:
    without = await run("init", LABELER_DB_URL="")
    assert without.exit_code == 0
    assert await ties(tied_store) == [None, None]
    assert "The first start of the API" in without.stderr
    away = await run("init", LABELER_DB_URL="postgresql://nobody@127.0.0.1:1/nothing")
    assert away.exit_code == 0
    assert await ties(tied_store) == [None, None]
    done = await run("init")
    assert done.exit_code == 0
    assert await ties(tied_store) == [await id_of(api)] * 2
    assert "belongs to this database" in done.stderr


async def test_init_takes_no_objects_of_others(tied_store: StorageAccess, run: Run) -> None:
    await put(tied_store, "datasets/of_others/images/1.jpg")
    done = await run("init")
    assert done.exit_code == 0
    assert await ties(tied_store) == [None, None]
    assert "labeler storage adopt" in done.stderr


async def test_check_says_whether_anything_can_be_deleted(api: Api, tied_store: StorageAccess, run: Run) -> None:
    await put(tied_store, "datasets/of_others/images/1.jpg")

    async def said() -> dict[str, tuple[str, str]]:
        seen = msgspec.json.decode((await run("check", "--json")).stdout)["seen"]
        return {one["what"]: (one["level"], one["text"]) for one in seen if one["what"].endswith("tie")}

    names = [f"{bucket}: tie" for bucket in tied_store.buckets]
    missing = await said()
    assert [missing[name][0] for name in names] == ["note", "note"]
    assert "labeler storage adopt" in missing[names[0]][1]
    assert (await run("adopt", "--yes", "--although-images-are-missing")).exit_code == 0
    assert [(await said())[name][0] for name in names] == ["ok", "ok"]
    await give_new_id(api.services.settings.labeler_db_url)
    assert [(await said())[name][0] for name in names] == ["wrong", "wrong"]
    assert (await run("check")).exit_code == 1
    unknown = msgspec.json.decode((await run("check", "--json", LABELER_DB_URL="")).stdout)["seen"][-1]
    assert unknown["what"] == "tie"
    assert unknown["level"] == "note"
