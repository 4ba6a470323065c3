"""The pages for people beside the guides, where they tell to type: the schema's upgrade, and what deletes."""

from pathlib import Path

from labeler_ops.storage.store_variables import service_variables
from tests.guides.conftest import Buckets, Servers
from tests.guides.following import follow, shell
from tests.guides.reading import ROOT, Block, Guide
from tests.guides.test_whole_move import of_before


async def test_production_is_upgraded_and_its_buckets_are_tied_as_the_pages_say(
    servers: Servers, buckets: Buckets, labeler: Path, tmp_path: Path
) -> None:
    source = await of_before(servers, buckets)
    async with shell(tmp_path, service_variables(buckets.old), labeler) as typed:
        upgraded = await follow(Guide(ROOT / "docs" / "labeler-db.md"), typed, {"DATABASE": source})
        tied = await follow(Guide(ROOT / "docs" / "deletion.md"), typed, {}, only=of_the_store)
    assert "50 of 50 rows filled in" in upgraded
    assert "The buckets belong to this database now" in tied


def of_the_store(block: Block) -> bool:
    """What the rows of a backup need is another test's: tests/labeler_api/deletion."""
    return "psql" not in block.text
