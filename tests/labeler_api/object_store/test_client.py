"""What is read once, however many clients of the object store a process makes."""

import asyncio

from labeler_api.app import describe
from labeler_api.object_store.client import store_session


async def test_threads_have_sessions_of_their_own_and_read_the_descriptions_once() -> None:
    here = store_session()
    elsewhere = await asyncio.to_thread(store_session)
    assert here is store_session()
    assert elsewhere is not here
    assert elsewhere.get_component("data_loader") is here.get_component("data_loader")


def test_the_document_is_made_once() -> None:
    assert describe() is describe()
