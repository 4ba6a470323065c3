import pytest

from tests.fixtures.api import Api
from tests.frontend.opened import OpenProject, built


@pytest.fixture
async def opened(api: Api) -> OpenProject:
    return await built(api)
