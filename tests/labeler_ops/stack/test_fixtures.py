"""The servers that every other test stands on."""

import asyncio

import asyncpg

from labeler_ops.stack.object_store import SeaweedServer
from labeler_ops.storage.buckets import connect
from tests.fixtures.postgres import DatabaseFactory


async def test_a_copied_database_has_the_rows_of_its_template(create_database: DatabaseFactory) -> None:
    template = await create_database()
    connection = await asyncpg.connect(template)
    await connection.execute("CREATE TABLE t AS SELECT 7 AS n")
    await connection.close()
    copies = await asyncio.gather(*(create_database(template.rsplit("/", 1)[1]) for _ in range(3)))
    for copy in copies:
        connection = await asyncpg.connect(copy)
        assert await connection.fetchval("SELECT n FROM t") == 7
        await connection.close()
        await create_database.drop(copy)
    await create_database.drop(template)


async def test_the_store_has_both_buckets_and_keeps_bytes(object_store: SeaweedServer) -> None:
    async with connect(object_store.access) as client:
        names = {bucket["Name"] for bucket in (await client.list_buckets())["Buckets"]}
        assert names >= {"datasets", "annotations"}  # tests make others
        await client.put_object(Bucket="datasets", Key="a/b c/한글.jpg", Body=b"bytes")
        answer = await client.get_object(Bucket="datasets", Key="a/b c/한글.jpg")
        async with answer["Body"] as body:
            assert await body.read() == b"bytes"
