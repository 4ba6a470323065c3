"""docs/user-gateway.md: its client and its command line run as written, its lists are complete."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

from labeler_api.user_directory.directory import SERVICE_CONFIG
from tests.fixtures.users import RunningGateway

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "user-gateway.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


async def output_of(*command: str, gateway: RunningGateway) -> str:
    environment = {
        **os.environ,
        "USER_GATEWAY_ADDRESS": gateway.address,
        "USER_GATEWAY_TOKEN": gateway.token,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_the_client_runs(gateway: RunningGateway) -> None:
    output = await output_of(sys.executable, "-c", block("python"), gateway=gateway)
    assert output == "['Admin Example', 'Owner Example'] [99]\n"


async def test_the_command_line_runs(gateway: RunningGateway) -> None:
    output = await output_of("sh", "-c", block("sh"), gateway=gateway)
    user = json.loads(output)["user"]
    assert user["fullName"] == "Admin Example"
    assert "email" not in user


def test_the_service_config_is_the_one_in_use() -> None:
    assert json.loads((ROOT / "docs" / "user-gateway.service-config.json").read_text()) == SERVICE_CONFIG


def test_every_reason_is_explained() -> None:
    files = [path for path in (ROOT / "user_gateway").glob("*.py") if path.name != "settings.py"]
    sources = "".join(path.read_text() for path in files)
    raised = set(re.findall(r'\(\s*"([A-Z]+(?:_[A-Z]+)+)",\s*f?"', sources))
    assert {"USER_NOT_FOUND", "TOO_MANY_CHECKS", "PAGE_TOKEN_INVALID"} <= raised
    contract = (ROOT / "proto" / "users" / "v1" / "user_gateway.proto").read_text()
    for reason in raised:
        assert f"`{reason}`" in PAGE, reason
        assert reason in contract, reason
