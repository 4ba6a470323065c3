"""An API process that ends itself in the middle of its work, as by a power cut."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.fixtures.api import Api
from tests.fixtures.users import RunningGateway


async def killed(api: Api, gateway: RunningGateway, program: str, *arguments: str) -> None:
    """Run a program with the API's environment that is expected to kill itself."""
    settings = api.services.settings
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path.cwd()),
        "ENVIRONMENT": "test",
        "LABELER_DB_URL": settings.labeler_db_url,
        "USER_GATEWAY_ADDRESS": gateway.address,
        "USER_GATEWAY_TOKEN": gateway.token,
        "S3_ENDPOINT": settings.s3_endpoint,
        "S3_ACCESS_KEY": settings.s3_access_key,
        "S3_SECRET_KEY": settings.s3_secret_key,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *arguments, env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()[-2000:]
