"""What annotations, locks, statuses and versions of a project should be: a small model, for one project."""

from dataclasses import dataclass, field

ANNOTATOR, REVIEWER, OWNER = "annotator", "reviewer", "owner"


@dataclass
class Annotation:
    """An annotation as the model has it; `states` holds what each revision left behind, None for a deletion."""

    image: int
    author: str
    note: str | None = None
    confirmed: bool = False
    there: bool = True
    deleted_by: str | None = None
    deleted_as: int = 0  # which deletion of the project's it was
    states: list[tuple[str | None, bool] | None] = field(default_factory=list)

    def write(self) -> None:
        """Note a revision."""
        self.states.append((self.note, self.confirmed) if self.there else None)

    @property
    def version(self) -> int:
        return len(self.states)


@dataclass
class Model:
    """The project. Locks do not expire by themselves here: a lease is longer than a run."""

    annotations: dict[int, Annotation] = field(default_factory=dict)
    holders: dict[int, str] = field(default_factory=dict)
    confirmed_images: set[int] = field(default_factory=set)
    published: list[int] = field(default_factory=list)
    deletions: int = 0

    def on(self, image: int) -> list[Annotation]:
        """The annotations on an image."""
        return [one for one in self.annotations.values() if one.there and one.image == image]

    def delete(self, one: Annotation, account: str) -> None:
        self.deletions += 1
        one.there, one.deleted_by, one.deleted_as = False, account, self.deletions
        one.write()

    def undone_by(self, account: str, image: int) -> int | None:
        """Which annotation comes back when an equal one is drawn: the last that the same person deleted."""
        found = [
            (one.deleted_as, number)
            for number, one in self.annotations.items()
            if not one.there and one.image == image and one.deleted_by == account
            if account in {one.author, REVIEWER}
        ]
        return max(found)[1] if found else None

    def may_write(self, account: str, image: int) -> bool:
        return self.holders.get(image, account) == account

    def settle(self, image: int, *, clear: bool = False, confirm: bool = False) -> None:
        """Bring the image's confirmation up to date after a write."""
        left = self.on(image)
        if confirm and all(one.confirmed for one in left):
            self.confirmed_images.add(image)
        if clear or not left:
            self.confirmed_images.discard(image)
