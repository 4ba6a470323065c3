"""Which texts of a YOLO archive are labels, which are lists of classes or images, and which image a label is about."""

from collections.abc import Callable, Collection, Iterable

from labeler_api.imports.readers.yolo_numbers import looks_like_a_label
from labeler_api.versions.formats import yolo_paths

_IMAGES = ("images", "Images", "IMAGES")  # readers take the first alone; people write it in other ways, too
_LABELS = "labels"
_DESCRIPTIONS = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
CLASS_LISTS = ("classes.txt", "labels.txt", "predefined_classes.txt", "obj.names", "_darknet.labels")
# Names that no tool gives to a label, unless an image is called so: then its label has the content of one.
_IMAGE_LISTS = {"train", "training", "val", "valid", "validation", "test", "testing", "trainval", "images", "filelist"}
_PROSE = ("readme", "license", "licence", "copying", "notes", "changelog", "requirements")


def is_wanted(name: str) -> bool:
    """Whether a member is a file that somebody put into the archive."""
    segments = name.split("/")
    return not name.endswith("/") and "__MACOSX" not in segments and not segments[-1].startswith(".")


def label_names(names: Collection[str], listed: Collection[str], start_of: Callable[[str], bytes]) -> list[str]:
    """Find the label files: every .txt below a `labels` folder; where there is none, every .txt.

    Lists of classes and of images and texts for people are none, wherever they lie. `listed` are the last segments of
    such lists that the archive itself names; `start_of` reads the beginning of a member.
    """
    folders = {segment.lower() for name in names for segment in name.split("/")[:-1]}
    texts = sorted(name for name in names if name.lower().endswith(".txt"))
    below = [name for name in texts if _labels_at(name) is not None]
    return [
        name
        for name in below or texts
        if not (_is_named_as_list(name, listed, folders) and not looks_like_a_label(start_of(name)))
    ]


def is_description(name: str) -> bool:
    """Whether a member is named as the one that describes the archive."""
    return name.rpartition("/")[2].lower() in _DESCRIPTIONS


def is_class_list(name: str) -> bool:
    """Whether a member is named as one that names the classes."""
    last = name.rpartition("/")[2].lower()
    return last in CLASS_LISTS or last.endswith(".names")


def _is_named_as_list(name: str, listed: Collection[str], folders: Collection[str]) -> bool:
    last = name.rpartition("/")[2].lower()
    stem = last.removesuffix(".txt")
    subset = f"obj_{stem}_data" in folders  # CVAT: Train.txt lists the images whose labels lie in obj_Train_data
    return subset or stem in _IMAGE_LISTS or is_class_list(name) or last in listed or stem.startswith(_PROSE)


def listed_in(values: Iterable[str]) -> set[str]:
    """Return the last segments, in small letters, of the lists that a data.yaml or obj.data names."""
    return {value.strip().rpartition("/")[2].lower() for value in values if value.strip().lower().endswith(".txt")}


def image_names(label: str) -> tuple[str, tuple[str, ...]]:
    """Return the path of the image that a label file is about, and those that go before it; all without extension.

    Readers put `images` in the place of the last `labels` (img2label_paths of github.com/ultralytics/ultralytics, the
    other way round); our older exports, and many people, have the folder `labels` and no folder `images`.
    """
    segments = label[: -len(".txt")].split("/")
    last = _labels_at(label)
    if last is None:
        return "/".join(segments), ()
    paired = tuple("/".join([*segments[:last], images, *segments[last + 1 :]]) for images in _IMAGES)
    # At the top it is the format's own; below, the innermost: outer ones may be folders of the dataset.
    del segments[0 if segments[0].lower() == _LABELS else last]
    return "/".join(segments), paired


def exported_names(label: str) -> tuple[str, tuple[str, ...]]:
    """Do the same for an export of ours, whose images lie in `images/` under their paths in the dataset."""
    found = yolo_paths.image_paths(label[: -len(".txt")])
    return (found[-1], tuple(found[:-1])) if found else image_names(label)


def _labels_at(label: str) -> int | None:
    """Return the place of the innermost folder `labels`."""
    folders = [segment.lower() for segment in label.split("/")[:-1]]
    return len(folders) - 1 - folders[::-1].index(_LABELS) if _LABELS in folders else None
