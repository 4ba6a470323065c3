import pytest

from tests.fixtures.api import Api
from tests.frontend.scene import Scene, built


@pytest.fixture
async def scene(api: Api) -> Scene:
    return await built(api)
