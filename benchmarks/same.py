"""Bare handlers that run the statements of the API's own calls, and nothing else of them.

What the API's process spends on a request beyond these is what the API adds to its statements.
"""

import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from labeler_api.annotations.editing import store as annotations
from labeler_api.annotations.page import store as pages
from labeler_api.annotations.progress import store as progress
from labeler_api.images.listing import store as images
from labeler_api.invitations import store as invitations
from labeler_api.locks.image_locks import store as locks
from labeler_api.locks.image_locks.lease import LEASE_SECONDS
from labeler_api.members.authorization.service import roles_from
from labeler_api.members.policy import Role
from labeler_api.projects import store as projects

_VARIABLE = "BENCHMARK_PLACE"


class Place(msgspec.Struct, frozen=True):
    """Whose project is asked about, and by whom."""

    dataset: str
    project: str
    user_id: int

    @property
    def environment(self) -> dict[str, str]:
        """What the bare server is told by."""
        return {_VARIABLE: msgspec.json.encode(self).decode()}


class Statements:
    """The statements of each call, on a connection of the driver's. The API's own way of lending one is not in them."""

    def __init__(self, place: Place) -> None:
        self._place = place
        # As the API, which asks for what is newer than it knows.
        self._counted: tuple[str | None, int | None] = (None, None)
        self._read: pages.KnownPage | None = None
        self._images_known: images.KnownImages | None = None
        self._revisions: tuple[int, int] | None = None
        self._of_image_known: tuple[str, int] | None = None

    async def run(self, name: str, connection: Any, variant: int) -> None:
        """Run those of the call of this name, on a connection; the variant says of which image."""
        await _OF[name](self, connection, variant)

    async def _invitations(self, connection: Any, _variant: int) -> object:
        return await invitations.page(
            connection, self._place.user_id, sent=False, status="pending", reference="", after=None, limit=101
        )

    async def _project(self, connection: Any, _variant: int) -> None:
        row = await projects.get_counted(connection, self._place.dataset, self._place.user_id, *self._counted)
        if row is not None:
            self._counted = (row["id"], row["revision"])

    async def _images(self, connection: Any, _variant: int) -> None:
        place = self._place.project, self._place.user_id
        (row, *_) = await images.page(connection, *place, 50, 0, self._images_known)
        self._images_known = images.KnownImages(row["project_id"], row["images_revision"], row["total"])

    async def _statuses(self, connection: Any, _variant: int) -> None:
        found = await progress.page(
            connection,
            self._place.project,
            self._place.user_id,
            "detection",
            limit=50,
            offset=0,
            after=(datetime.min.replace(tzinfo=UTC), ""),
            known=self._revisions,
            known_behind=None,
        )
        if found is not None:
            self._revisions = (found["revision"], found["images_revision"])

    async def _of_image(self, connection: Any, _variant: int) -> None:
        page = annotations.PageOfImage(self._place.project, "train/7", 0, 1000, 0)
        (row, *_) = await annotations.page_of_image(connection, page, self._place.user_id, self._of_image_known)
        self._of_image_known = (row["project_id"], row["revision"])

    async def _page(self, connection: Any, _variant: int) -> None:
        place = pages.PagePosition(self._place.project, 0, 1000, 0)
        read = await pages.page(connection, place, self._place.user_id, self._read)
        if read.found is not None:
            self._read = pages.KnownPage(place.reference, read.found["revision"], read.found["horizon"])

    async def _locks(self, connection: Any, _variant: int) -> object:
        return await locks.page(connection, self._place.project, self._place.user_id)

    async def _acquire(self, connection: Any, variant: int) -> object:
        roles = roles_from(Role.ANNOTATOR)
        image = f"train/{variant}"
        return await locks.acquire(
            connection, self._place.project, self._place.user_id, roles, image, LEASE_SECONDS, bypass_role_check=False
        )


_OF: dict[str, Callable[[Statements, Any, int], Awaitable[object]]] = {
    "invitations, received": Statements._invitations,
    "project of a dataset": Statements._project,
    "50 images": Statements._images,
    "50 statuses": Statements._statuses,
    "annotations, one image": Statements._of_image,
    "annotations, 1 000": Statements._page,
    "annotations, unchanged": Statements._page,
    "locks": Statements._locks,
    "acquire a lock": Statements._acquire,
}
STATEMENTS = frozenset({"me", *_OF})
"""The names of the calls (`benchmarks.calls`) whose statements are here. "me" has none."""


def given() -> Statements | None:
    """The statements on the place that the environment names, if it does."""
    text = os.environ.get(_VARIABLE)
    return Statements(msgspec.json.decode(text, type=Place)) if text else None
