"""The report of a move as a person sees it in a browser and on paper; what comes from outside is no markup."""

from contextlib import suppress
from pathlib import Path

from playwright.async_api import Browser, Page, expect

from labeler_ops.database.upgrade_report import UpgradeReport, UpgradeStep
from labeler_ops.database.verify.checksums import Checksum
from labeler_ops.database.verify.equality import DatabaseComparison, TableComparison
from labeler_ops.move import move_report, write_downtime
from labeler_ops.move.rows import upgrading
from labeler_ops.runs import Run
from labeler_ops.storage.object_findings import ObjectFinding
from labeler_ops.storage.object_findings import StoreComparison as Objects

HOSTILE = "<img src=x onerror=document.title='taken'> 🙂 한글"
PHASES = ("check", "backup", "read only", "copy", "verify", "verify objects", "upgrade", "roles", "switch")


def finished(root: Path) -> Run:
    """A run that stopped at its last phase, with everything that a report can hold."""
    run = Run.start(root, "move", {"source": "old:5433/labeler", "target": "new:5432/railway", "plan": {}})
    for name in PHASES:
        if name == "read only":
            write_downtime.begin(run)
        with run.phase(name) as facts:
            facts.update({"owner": "labeler", "role": "labeler"} if name == "roles" else {})
    write_downtime.end(run)
    with suppress(RuntimeError), run.phase("deploy"):
        raise RuntimeError(HOSTILE)
    same, other = Checksum(2000, "1", "2"), Checksum(1999, "3", "4")
    run.write(
        move_report.COMPARISON,
        DatabaseComparison(
            [TableComparison("annotations", same, same, 0.1), TableComparison("images", same, other, 0.1)], [], [], 0.2
        ),
    )
    found = ObjectFinding("missing", "datasets", HOSTILE)
    run.write(
        move_report.OBJECTS, Objects(command="verify", source="", target="", counts={"missing": 1}, findings=[found])
    )
    steps = [
        UpgradeStep("1", "comments", "quarantined", HOSTILE, 12),
        UpgradeStep("1", "datasets", "changed", "a rule", 3),
    ]
    run.write(upgrading.REPORT, UpgradeReport("20251124_0000", "head", [], steps))
    return run


async def width(page: Page, row: str) -> tuple[float, float]:
    """Where the bar of a row begins, and how wide it is."""
    box = await page.locator(f"#timeline {row} .bar").first.bounding_box()
    assert box
    return box["x"], box["width"]


async def test_a_report_says_everything_on_one_page_and_runs_nothing(chromium: Browser, tmp_path: Path) -> None:
    run = finished(tmp_path)
    move_report.write(run)
    context = await chromium.new_context(viewport={"width": 1100, "height": 1300})
    page = await context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    address = run.path("report.html").as_uri()
    await page.goto(address)
    assert asked == [address]  # one file, and nothing from elsewhere
    assert await page.title() == f"Move {run.id}"
    assert await page.locator("script, img").count() == 0
    await expect(page.locator("#state")).to_have_text("switched, not open; stopped at deploy")
    await expect(page.locator("#same")).to_contain_text("differences")
    await expect(page.locator("#timeline tbody tr:not(.stop) .bar")).to_have_count(len(PHASES) + 1)
    assert (await width(page, ".stop"))[0] >= (await width(page, ".ended"))[0]
    assert (await width(page, ".stop"))[1] > 0
    await expect(page.locator("#timeline .error")).to_contain_text(HOSTILE)
    await expect(page.locator("#upgrade")).to_contain_text("quarantine_comments")
    await expect(page.locator("#upgrade")).to_contain_text(HOSTILE)
    await expect(page.locator("#differences")).to_contain_text(HOSTILE)
    await expect(page.locator("#grants")).to_contain_text("labeler")
    await expect(page.locator("#next li").last).to_contain_text(f"labeler move rollback --run {run.id}")
    await page.emulate_media(media="print")
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert len(await page.pdf(format="A4")) > 10_000
    await context.close()
