"""`labeler staging-check` against a running system and the same one behind a slow network."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image

from tests.labeler_ops.smoke.conftest import Deployed, run
from tests.labeler_ops.smoke.test_smoke import owned


async def test_a_slower_deployment_fails_with_a_report_and_a_picture(deployed: Deployed, tmp_path: Path) -> None:
    before = await owned(deployed)
    async with delayed(deployed.url, 0.02) as slow:
        options = ("--against", deployed.url, "--rounds", "10", "--runs", str(tmp_path))
        done = await run("staging-check", slow, *options)
    assert done.code == 1, done.out + done.err
    report = done.json()
    directory = Path(report["run"])
    assert report["verdict"] == "fail"
    assert report["smoke"]["ok"] is True
    assert directory.parent == tmp_path
    assert report["latency"]["overall"]["low"] > 0.1
    assert {"me", "draw a box", "image by its link"} <= {call["name"] for call in report["latency"]["calls"]}
    assert json.loads((directory / "report.json").read_text()) == report
    assert "worse by more than 10%" in (directory / "report.txt").read_text()
    assert len(json.loads((directory / "samples.json").read_text())) == report["latency"]["rounds"]
    with Image.open(directory / report["plot"]) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.width >= 1000
    assert await owned(deployed) == before


async def test_what_does_not_work_is_not_measured(deployed: Deployed, tmp_path: Path) -> None:
    async with delayed(deployed.url, 0.0) as url:
        pass
    done = await run("staging-check", url, "--against", deployed.url, "--runs", str(tmp_path))
    assert done.code == 1
    assert done.json()["verdict"] == "fail"
    assert done.json()["latency"] is None


async def test_without_a_measurement_there_is_no_verdict(deployed: Deployed, tmp_path: Path) -> None:
    done = await run("staging-check", deployed.url, "--runs", str(tmp_path))
    report = done.json()
    assert done.code == 3
    assert report["verdict"] is None
    assert report["latency"] is None
    assert report["smoke"]["ok"] is True
    text = (Path(report["run"]) / "report.txt").read_text()
    assert "verdict: none, as no latency was measured: name the deployment before with --against" in text
    assert "pass" not in text.rpartition("verdict:")[2]


@asynccontextmanager
async def delayed(url: str, seconds: float) -> AsyncIterator[str]:
    """A way to a server that holds back what it answers."""
    parts = urlsplit(url)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                await asyncio.sleep(delay)
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(parts.hostname, parts.port)
        await asyncio.gather(pass_on(reader, back, 0.0), pass_on(there, writer, seconds))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
