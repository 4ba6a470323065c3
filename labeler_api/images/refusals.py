"""The files of an upload that are not taken: the first hundred by name, the rest counted."""

from labeler_api.images.schemas import FailedFile

_NAMED = 100  # a person reads no more; without a bound one request of ZIP archives had six million of them
_NAME_CHARACTERS, _REASON_CHARACTERS = 500, 500


class Refusals:
    """Notes files and why they are not taken."""

    def __init__(self) -> None:
        self.first: list[FailedFile] = []
        self.total = 0

    def add(self, filename: str, reason: str) -> None:
        """Note one. Names are shown as they came, as far as they can be shown."""
        self.total += 1
        if len(self.first) < _NAMED:
            shown = filename[:_NAME_CHARACTERS].encode("utf-8", "replace").decode()
            self.first.append(FailedFile(filename=shown, reason=reason[:_REASON_CHARACTERS]))

    def include(self, others: "Refusals", where: str) -> None:
        """Note those of an archive, whose name goes in front of theirs."""
        for one in others.first:
            self.add(f"{where}: {one.filename}", one.reason)
        self.total += others.total - len(others.first)
