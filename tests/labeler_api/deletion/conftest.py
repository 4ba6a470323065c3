"""Each test finds the store empty: dataset ids start anew with every database."""

import pytest

from tests.fixtures.api import Api
from tests.labeler_api.versions.builders import stored_keys


@pytest.fixture
async def api(api: Api) -> Api:
    for bucket, prefix in (("datasets", "datasets/"), ("datasets", "backups/"), ("annotations", "exports/")):
        await api.services.objects.delete_many(bucket, await stored_keys(api, bucket, prefix))
    return api
