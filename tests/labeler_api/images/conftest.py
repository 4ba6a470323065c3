"""Each test finds the store empty: dataset ids start anew with every database."""

import pytest

from tests.fixtures.api import Api


@pytest.fixture
async def api(api: Api) -> Api:
    objects = api.services.objects
    await objects.delete_many("datasets", [entry.key async for entry in objects.list("datasets", "datasets/")])
    return api
