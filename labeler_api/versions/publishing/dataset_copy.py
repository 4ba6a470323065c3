"""The DICE file of a task's latest version, copied to its place beside the dataset's images."""

import structlog

from labeler_api.context import Call
from labeler_api.errors import AppError
from labeler_api.versions.files import naming
from labeler_api.versions.formats import DICE
from labeler_api.versions.publishing import store

log = structlog.get_logger("labeler_api.versions")


async def refresh(call: Call, project_id: str, dataset_id: str, task_type: str, number: str) -> None:
    """Copy the file of the version just published and note the dataset as labeled.

    A failure is logged and does not unmake the version; the next publishing makes the copy good. Of two publishings
    at once the later copy may be the older version's: each looks, after its own copy, which version is the latest, and
    copies that one when it is another. So the last copy is the latest version's.
    """
    target = naming.dataset_copy_key(dataset_id, task_type)
    settings, copied = call.settings, set[str]()
    try:
        while number not in copied:
            source = naming.file_key(project_id, task_type, number, DICE.file_name)
            await call.objects.copy(settings.s3_bucket_annotations, source, settings.s3_bucket_datasets, target)
            copied.add(number)
            async with call.db.begin() as tx:
                number = await store.label_dataset(tx, dataset_id, target, project_id, task_type) or number
    except AppError as error:
        log.warning("the dataset's copy was not refreshed", project_id=project_id, version=number, reason=error.detail)
