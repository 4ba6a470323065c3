"""What a newcomer types: `make run` and the first call of the README, then the move of the demo in four terminals."""

import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.guides.comparing import difference
from tests.guides.following import Shell, filled_in, shell
from tests.guides.reading import ROOT, Block, Guide, guide

README = Guide(ROOT / "README.md")
GUIDE = guide("moving-everything.md")
SHOWN_API = "http://127.0.0.1:8001"
READY = "Ctrl-C stops everything."
DEMO = GUIDE.text[: GUIDE.text.index("## Try it with the demo")].count("\n")
ANY_PORT = {"API_PORT": "0", "USER_GATEWAY_PORT": "0"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory in which `make` finds everything installed."""
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    for name in ("Makefile", "pyproject.toml", "requirements"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv" / ".installed").touch()
    return tmp_path


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def test_the_demo_runs_and_moves_as_it_is_told(checkout: Path, stack: AsyncExitStack) -> None:
    assert shutil.which("make"), "make is what the README begins with"
    opened: dict[str, Shell] = {}

    async def typed(block: Block, until: str | None = None, **filled: str) -> str:
        """Type a block in its terminal: to its end, or to a line that says so."""
        if block.place not in opened:
            opened[block.place] = await stack.enter_async_context(shell(checkout, ANY_PORT))
            stack.push_async_callback(opened[block.place].interrupt)
        text = filled_in(block.text.replace(SHOWN_API, filled.pop("API", SHOWN_API)), GUIDE, filled)
        return await (opened[block.place].until(text, until) if until else opened[block.place].type(text))

    demo = [block for block in GUIDE.blocks() if block.line > DEMO]
    first, shown, call = [block for block in README.blocks() if block.place in {"terminal 1", ""}][:3]
    said = await typed(first, READY)
    told = difference(f"…\n{shown.text}", said)  # what it does before is not shown
    assert told is None, told
    api = re.search(r"^API +(\S+)", said, re.MULTILINE)
    assert api is not None
    assert '"access_token"' in await typed(call, API=api[1])

    running, second, move, deploy, back = demo
    assert running.text == first.lines[0].partition("#")[0].strip()  # it runs already
    await typed(second, READY)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        new = {"NEW_API": f"http://127.0.0.1:{free.getsockname()[1]}"}
    new["NEW_PORT"] = f"API_PORT={new['NEW_API'].rpartition(':')[2]}"
    await typed(move, "waiting until", **new)
    (run,) = (checkout / "runs").glob("*-move-*")
    await typed(deploy, READY, RUN=run.name, **new)
    said = await typed(back)
    assert said.count("The same:") == 2, (
        said
    )  # the rows and the objects, back; the way there was compared before it waited
    assert "images have sizes now" in said
    assert "warning: a password on the command line" not in said
