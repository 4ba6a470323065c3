"""A file whose first byte waits for the test, so that it can act in the middle of a publishing or an export."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from labeler_api.versions import formats
from labeler_api.versions.formats import dice
from labeler_api.versions.formats.source import VersionSource


class Gate:
    """Counts who waits at it, and lets them go on when it is opened; before, each has sent so many bytes."""

    def __init__(self, filling: int = 0) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self.waiting = 0
        self._filling = filling

    async def render(self, source: VersionSource) -> AsyncGenerator[bytes, None]:
        if self._filling:
            yield bytes(self._filling)
        self.waiting += 1
        self.reached.set()
        await self.opened.wait()
        async for piece in dice.render(source):
            yield piece

    def offer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Offer it as the format "held"."""
        held = formats.Format("held", "annotations_held.json", "application/json", self.render, formats.DICE.fill)
        monkeypatch.setattr(
            "labeler_api.versions.files.contents.EXPORT_FORMATS", {**formats.EXPORT_FORMATS, "held": held}
        )
