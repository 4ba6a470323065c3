"""Each test finds the store empty, unfinished uploads included."""

import pytest

from tests.fixtures.api import Api
from tests.fixtures.sweeps import DATASETS, EXPORTS


@pytest.fixture
async def api(api: Api) -> Api:
    await api.empty_store()
    for bucket, prefix in ((DATASETS, "datasets/"), (EXPORTS, "exports/")):
        async for upload in api.services.objects.unfinished(bucket, prefix):
            await api.services.objects.give_up(bucket, upload)
    return api
