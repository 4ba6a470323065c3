"""Each test finds the store empty."""

import pytest

from tests.fixtures.api import Api


@pytest.fixture
async def api(api: Api) -> Api:
    await api.empty_store()
    return api
