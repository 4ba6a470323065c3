"""The files of an upload that are not taken: each of the form by name, with those of archives a hundred."""

from labeler_api.images.upload.schemas import FailedFile

_NAMED = 100  # a person reads no more; without a bound one request of ZIP archives had six million of them
_NAMED_OF_A_FORM = 1000  # as many files as it has by default: each is named, in a megabyte with the longest words
_NAME_CHARACTERS, _REASON_CHARACTERS = 500, 500


class Rejections:
    """Notes files and why they are not taken."""

    def __init__(self) -> None:
        self.first: list[FailedFile] = []
        self.total = 0
        self._members: list[FailedFile] = []

    def add(self, filename: str, reason: str, *, is_member: bool = False) -> None:
        """Note one, of the form or of an archive. Names are shown as they came, as far as they can be shown."""
        self.total += 1
        if len(self.first) >= _NAMED:
            if is_member:
                return
            if self._members:  # a file of the form goes before those of archives
                self.first.remove(self._members.pop())
            elif len(self.first) >= _NAMED_OF_A_FORM:
                return
        shown = filename[:_NAME_CHARACTERS].encode("utf-8", "replace").decode()
        one = FailedFile(filename=shown, reason=reason[:_REASON_CHARACTERS])
        self.first.append(one)
        if is_member:
            self._members.append(one)

    def include(self, others: "Rejections", where: str) -> None:
        """Note those of an archive, whose name goes in front of theirs."""
        for one in others.first:
            self.add(f"{where}: {one.filename}", one.reason, is_member=True)
        self.total += others.total - len(others.first)
