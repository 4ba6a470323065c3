"""Where readers of YOLO look for the label of an image, and which images a label's path fits.

The rule is `img2label_paths` of Ultralytics and YOLOv5: the last folder `images` of the image's path becomes `labels`,
and its extension `.txt`. Every image of an export lies in the folder `images`, under its path in the dataset.
"""

ROOT = "images"
LABELS = "labels"


def label_path(image_path: str) -> str:
    """Return where the label lies, its extension still the image's.

    The image `train/images/a.jpg` lies at `images/train/images/a.jpg`, and its label at `images/train/labels/a`.
    """
    *folders, name = [ROOT, *image_path.split("/")]
    last = len(folders) - 1 - folders[::-1].index(ROOT)
    return "/".join([*folders[:last], LABELS, *folders[last + 1 :], name])


def image_paths(label: str) -> list[str]:
    """Return the paths of images, in the dataset, whose label lies here; both with or without their extension.

    There are several only where another folder of the path is called `labels`.
    """
    *folders, name = label.split("/")
    found = []
    for at, folder in enumerate(folders):
        if folder == LABELS and ROOT not in folders[at + 1 :]:
            path = [*folders[:at], ROOT, *folders[at + 1 :], name]
            if path[0] == ROOT:
                found.append("/".join(path[1:]))
    return found


_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_FOLDERS = 100  # of splits; where there are more they are no splits


class Splits:
    """Finds out whether images lie in folders of splits, as `train/…` and `valid/…`, or `coco8/images/val/…`."""

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, None]] = {}
        self._all = True

    def add(self, image_path: str) -> None:
        """Look at the path of an image in the dataset."""
        if not self._all:
            return
        folders = image_path.split("/")[:-1]
        at = next((at for at, folder in enumerate(folders) if folder.lower() in _SPLITS), None)
        if at is None:
            self._all = False
            return
        found = self._folders.setdefault(_SPLITS[folders[at].lower()], {})
        found["/".join([ROOT, *folders[: at + 1]])] = None
        self._all = len(found) <= _FOLDERS

    def told(self) -> dict[str, list[str]]:
        """Return the folders of each split; nothing unless every image is in one, in that of training or another."""
        if not self._all or not {"train", "val"} <= self._folders.keys():
            return {}
        return {split: list(self._folders[split]) for split in ("train", "val", "test") if split in self._folders}
